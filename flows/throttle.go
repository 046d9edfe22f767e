package flows

import (
	"cmp"
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

// forget is when a counter may be forgotten: the same for accounts that are there
// and for names that are not, or forgetting would tell them apart. It is long, for
// failures are counted in a row (NIST SP 800-63B-4 §3.2.2) and who guesses has time:
// one that waits a month after each nineteenth gets some two hundred in a year.
const forget = 30 * 24 * time.Hour

// attempt counts one attempt before it is made.
func attempt(now time.Time, limit int) func(Counter) (Counter, error) {
	limit = limitOf(limit)
	return func(c Counter) (Counter, error) {
		switch {
		case !c.Expires.IsZero() && !now.Before(c.Expires):
			c = Counter{}
		case c.Failures >= limit:
			return c, errLocked
		case now.Before(c.Until):
			return c, waitError{c.Until}
		}
		c.Failures++
		c.Until, c.Expires = time.Time{}, now.Add(forget)
		switch {
		case c.Failures >= limit:
			c.Expires = time.Time{} // until an administrator acts
		case c.Failures%lockEvery == 0:
			c.Until = now.Add(lockFor)
		case c.Failures >= softAfter:
			c.Until = now.Add(min(time.Second<<min(c.Failures-softAfter, 6), delayMax))
		}
		return c, nil
	}
}

func limitOf(limit int) int {
	if limit <= 0 {
		limit = hardLimit
	}
	return min(limit, hardAtMost)
}

// giveBack undoes one attempt that checked nothing, with the delay or the lock that it brought.
func giveBack(now time.Time) func(Counter) (Counter, error) {
	return func(c Counter) (Counter, error) {
		if c.Failures <= 1 {
			return Counter{}, nil
		}
		c.Failures, c.Until, c.Expires = c.Failures-1, time.Time{}, now.Add(forget)
		return c, nil
	}
}

// clearCounter is what a success does to the counter.
func clearCounter(Counter) (Counter, error) { return Counter{}, nil }

// reservation is an attempt that was counted before it is made.
type reservation struct {
	key    string // of the counter; "": nothing was counted
	locked bool   // no attempt is left, ever: the answer must be refused like a wrong one
	last   bool   // it is the last one
	fifth  bool   // it is followed by a long pause
}

// reserve takes one attempt on the authenticator that n checks.
func (e *Engine) reserve(ctx context.Context, x *exchange, n *node) (reservation, error) {
	if !n.typ.Guessable {
		return reservation{}, nil
	}
	if err := x.guess(ctx); err != nil {
		return reservation{}, err
	}
	next, at := attempt(x.w.now, n.typ.HardLimit), reservation{key: e.counterKey(x.r, n)}
	err := e.cfg.Throttle.Change(ctx, at.key, func(c Counter) (Counter, error) {
		c, err := next(c)
		at.last = err == nil && c.Failures >= limitOf(n.typ.HardLimit)
		at.fifth = err == nil && c.Failures%lockEvery == 0
		return c, err
	})
	var wait waitError
	switch {
	case errors.As(err, &wait):
		pr := &Problem{Kind: KindThrottled, Code: CodeThrottled, Detail: "Too many attempts.", RetryAfter: wait.until.Sub(x.w.now)}
		return reservation{}, errors.Join(pr, x.unguess(ctx))
	case errors.Is(err, errLocked):
		return reservation{locked: true}, nil
	}
	return at, err
}

// lockedElsewhere reports whether the proof is about an account that was reached by
// another name than the one that the attempt was counted on, and whose own attempts
// are used up or have to wait: an account is not locked by one of its names alone.
func (e *Engine) lockedElsewhere(ctx context.Context, x *exchange, n *node, proof *Proof) (bool, error) {
	if !n.typ.Guessable || proof == nil || proof.Subject == "" || proof.Subject == whose(x.r) {
		return false, nil
	}
	err := e.cfg.Throttle.Change(ctx, e.counterOf(proof.Subject, n.typ.Authenticator), func(c Counter) (Counter, error) {
		_, err := attempt(x.w.now, n.typ.HardLimit)(c)
		return c, err
	})
	var wait waitError
	if errors.As(err, &wait) || errors.Is(err, errLocked) {
		return true, nil
	}
	return false, err
}

// Unlock forgets the failed attempts on one type of authenticator of an account.
func (e *Engine) Unlock(ctx context.Context, subject, authenticator string) error {
	return e.cfg.Throttle.Change(ctx, e.counterOf(subject, authenticator), clearCounter)
}

// counterKey names the counter: the account's, a shadow of an account that does
// not exist, or the run's own if nobody is claimed. All of one shape.
func (e *Engine) counterKey(r *run, n *node) string {
	return e.counterOf(whose(r), n.typ.Authenticator)
}

// named is what was claimed in its one spelling, or who the run is about if
// nothing was; "" if nobody is.
func named(r *run) string {
	s := &r.State
	return cmp.Or(s.Shadow, strings.ToLower(strings.TrimSpace(s.Named)), s.Subject, s.Claimed)
}

// whose is who a run's attempts and messages are counted on.
func whose(r *run) string {
	who := r.State.Subject
	if who == "" {
		who = r.State.Claimed
	}
	if who == "" {
		who = "unknown\x00" + cmp.Or(r.State.Shadow, strings.ToLower(strings.TrimSpace(r.State.Named)))
	}
	if who == "unknown\x00" {
		who += r.ID
	}
	return who
}

func (e *Engine) counterOf(who, authenticator string) string {
	return hex.EncodeToString(e.keyed("attempts\x00" + authenticator + "\x00" + who))
}

// keyed is what stands for a text where nobody is to read it.
func (e *Engine) keyed(text string) []byte {
	mac := hmac.New(sha256.New, e.cfg.DecoyKey)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
