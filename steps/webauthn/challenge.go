package webauthn

import (
	"crypto/rand"
	"encoding/base64"
	"time"
)

// ChallengeLife is how long a challenge may be answered (§15.1 recommends five to ten minutes).
const ChallengeLife = 5 * time.Minute

// Challenge is what an authenticator is asked to sign: 256 random bits, kept by
// the step and used once (§13.4.3 asks for 128).
type Challenge struct {
	Value   string    `json:"value"` // base64url
	Expires time.Time `json:"expires"`
}

// NewChallenge makes a challenge.
func NewChallenge(now time.Time) Challenge {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return Challenge{base64.RawURLEncoding.EncodeToString(b[:]), now.Add(ChallengeLife).UTC()}
}

// Want is what an answer must have been made for.
type Want struct {
	Party     Party
	Challenge string // "" fits nothing
	Verified  bool   // the authenticator has to have verified the person
}
