package devicejws

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"time"
)

const (
	// Lifetime is the longest time between "iat" and "exp".
	Lifetime = 60 * time.Second
	// Leeway is how far a device's clock may be off.
	Leeway = 60 * time.Second
	// ChallengeLife is how long a challenge may be answered.
	ChallengeLife = 2 * time.Minute
)

// Challenge is what a device is asked to sign: 256 random bits, kept by the
// step and used once (SP 800-63B-4 §3.1.6 asks for 64).
type Challenge struct {
	Nonce   string    `json:"nonce"` // base64url
	Expires time.Time `json:"expires"`
}

// NewChallenge makes a challenge.
func NewChallenge(now time.Time) Challenge {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return Challenge{base64.RawURLEncoding.EncodeToString(b[:]), now.Add(ChallengeLife).UTC().Truncate(time.Second)}
}

// Want is what a signature must have been made for. An empty member is a
// mistake of the caller and fits nothing.
type Want struct {
	Audience string // Stile's issuer URL
	Nonce    string
	Flow     string // id of the run
	Step     string // id of the step
	Now      time.Time

	// Transaction is the hash of what was shown; "": nothing was, and a signature
	// that says that something was is for something else. Of authentications only.
	Transaction string
}

// checkTransaction: who confirms that they are there approves nothing, and a
// transaction is approved by a signature over that very transaction.
func (w Want) checkTransaction(signed *string) error {
	if (signed != nil) != (w.Transaction != "") {
		return WrongContext
	}
	if signed != nil && subtle.ConstantTimeCompare([]byte(*signed), []byte(w.Transaction)) != 1 {
		return WrongContext
	}
	return nil
}

// claims are what both kinds have in common.
type claims struct {
	audience, nonce, flow, step string
	issued, expires             int64
}

func (w Want) check(c claims) error {
	if w.Audience == "" || w.Nonce == "" || w.Flow == "" || w.Step == "" {
		return WrongContext
	}
	if c.audience != w.Audience {
		return WrongContext
	}
	if subtle.ConstantTimeCompare([]byte(c.nonce), []byte(w.Nonce)) != 1 {
		return WrongContext
	}
	if c.flow != w.Flow {
		return WrongContext
	}
	if c.step != w.Step {
		return WrongContext
	}
	return w.checkTime(c)
}

// checkTime compares whole seconds. Only the lifetime is computed from a
// stranger's numbers: "exp" is not before now and "iat" not after it, give or
// take, so that a difference that overflows is negative.
func (w Want) checkTime(c claims) error {
	now, leeway, lifetime := w.Now.Unix(), int64(Leeway/time.Second), int64(Lifetime/time.Second)
	if c.issued > now+leeway {
		return Stale
	}
	if c.expires <= now-leeway {
		return Stale
	}
	if life := c.expires - c.issued; life <= 0 || life > lifetime {
		return Stale
	}
	return nil
}
