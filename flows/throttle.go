package flows

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// The throttle of NIST SP 800-63B-4 §3.2.2: after three failures in a row a
// growing delay, after every five a longer one, and at the hard limit the
// authenticator stays locked until an administrator acts.
const (
	softAfter  = 3
	lockEvery  = 5
	lockFor    = 15 * time.Minute
	delayMax   = time.Minute
	hardLimit  = 20
	hardAtMost = 100
)

var errLocked = errors.New("flows: locked")

type waitError struct{ until time.Time }

func (waitError) Error() string { return "flows: too many attempts" }

// attempt counts one attempt before it is made.
func attempt(now time.Time, limit int) func(Counter) (Counter, error) {
	if limit <= 0 {
		limit = hardLimit
	}
	limit = min(limit, hardAtMost)
	return func(c Counter) (Counter, error) {
		switch {
		case c.Failures >= limit:
			return c, errLocked
		case now.Before(c.Until):
			return c, waitError{c.Until}
		}
		c.Failures++
		c.Until = time.Time{}
		switch {
		case c.Failures%lockEvery == 0:
			c.Until = now.Add(lockFor)
		case c.Failures >= softAfter:
			c.Until = now.Add(min(time.Second<<min(c.Failures-softAfter, 6), delayMax))
		}
		return c, nil
	}
}

// reserve takes one attempt on the authenticator that n checks. locked: no
// attempt is left, ever; the answer must be refused like a wrong one.
func (e *Engine) reserve(ctx context.Context, r *run, n *node) (key string, locked bool, err error) {
	if !n.typ.Guessable {
		return "", false, nil
	}
	now := e.cfg.Now()
	key = e.counterKey(r, n)
	_, err = e.cfg.Throttle.Reserve(ctx, key, attempt(now, n.typ.HardLimit))
	var wait waitError
	switch {
	case errors.As(err, &wait):
		return "", false, &Problem{Kind: KindThrottled, Code: CodeThrottled, Detail: "Too many attempts.", RetryAfter: wait.until.Sub(now)}
	case errors.Is(err, errLocked):
		return "", true, nil
	}
	return key, false, err
}

// counterKey names the counter: the account's, a shadow of an account that does
// not exist, or the run's own if nobody is claimed. All of one shape.
func (e *Engine) counterKey(r *run, n *node) string {
	who := r.State.Subject
	if who == "" {
		who = r.State.Claimed
	}
	if who == "" {
		who = "unknown\x00" + strings.ToLower(strings.TrimSpace(r.State.Named))
	}
	if who == "unknown\x00" {
		who += r.ID
	}
	mac := hmac.New(sha256.New, e.cfg.DecoyKey)
	mac.Write([]byte("attempts\x00" + n.typ.Authenticator + "\x00" + who))
	return hex.EncodeToString(mac.Sum(nil))
}
