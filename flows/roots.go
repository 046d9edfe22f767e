package flows

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// What was proved at a remote provider rests on the session that the person has
// there. When that one ends, so do the sessions here that rest on it, and the runs
// that have used it: nobody who has signed out there stays signed on here.

// ProviderSession names what has ended at a provider: a session by its ID, all of a
// person by Subject, or, with both, a session if it is that person's.
type ProviderSession struct {
	Provider string // name in the definitions
	Issuer   string
	Subject  string
	ID       string // as the provider names it (sid)
}

// Root is what a session rests on, found by a hash: a store tells nobody who is
// signed on where, nor how a session is named there.
type Root struct {
	Key   Alias
	Began time.Time // when it was signed on there
}

// RootEnd says that a root has ended.
type RootEnd struct {
	Key   Alias
	At    time.Time // what began before is over
	Until time.Time // no run that rests on what began before At can still be running
}

// Ends says whether it is the end of that root.
func (e RootEnd) Ends(r Root) bool { return e.Key == r.Key && r.Began.Before(e.At) }

// SessionDigest stands for the name of a session at a provider.
func SessionDigest(id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("provider session\x00" + id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// root is the key under which a session is found by these words.
func root(kind string, words ...string) Alias {
	text, _ := json.Marshal(append([]string{"root", kind}, words...)) // strings always can be
	return sha256.Sum256(text)
}

// rootEndKept is how long that end is kept: no run lasts longer.
const rootEndKept = 25 * time.Hour

// end is what the end of s ends. A session's name is never used again, so that its
// end holds whatever the clocks say; a person signs on again.
func (s ProviderSession) end(now time.Time) (RootEnd, error) {
	e := RootEnd{At: now, Until: now.Add(rootEndKept)}
	digest := SessionDigest(s.ID)
	switch {
	case s.Provider == "" || s.Issuer == "" || s.Subject == "" && s.ID == "":
		return RootEnd{}, errors.New("flows: the end of a provider's session names none")
	case s.ID == "":
		e.Key = root("person", s.Provider, s.Issuer, s.Subject)
		return e, nil
	case s.Subject == "":
		e.Key = root("session", s.Provider, s.Issuer, digest)
	default:
		e.Key = root("both", s.Provider, s.Issuer, s.Subject, digest)
	}
	e.At = e.Until
	return e, nil
}

// rootsOf are the roots of what was proved.
func rootsOf(proved []assurance.Evidence) []Root {
	var out []Root
	for _, e := range proved {
		up := e.Upstream
		if up == nil || up.Provider == "" {
			continue
		}
		out = append(out, Root{root("person", up.Provider, up.Issuer, up.Subject), up.Began})
		if up.Session != "" {
			out = append(out,
				Root{root("session", up.Provider, up.Issuer, up.Session), up.Began},
				Root{root("both", up.Provider, up.Issuer, up.Subject, up.Session), up.Began})
		}
	}
	return out
}

// rootless says whether something that this run rests on has ended elsewhere.
func (x *exchange) rootless(ctx context.Context) (bool, error) {
	roots := rootsOf(x.r.State.Evidence) // also of what the session stood for
	if len(roots) == 0 {
		return false, nil
	}
	return x.e.cfg.Sessions.Rootless(ctx, roots, x.w.now)
}

// The ways in which a provider says that a session has ended.
const (
	LogoutBackChannel  = "back_channel"
	LogoutFrontChannel = "front_channel"
)

// Logout is a provider's word that a session there has ended.
type Logout struct {
	ProviderSession

	Way   string    // in which it came
	Mark  string    // names the message, which is good once; "": it is as often as it comes
	Until time.Time // when the message is good no more
}

// EndProviderSession ends every session that rests on that one, and with them the runs
// that do. Every error is a *[Problem]; after one that says that something cannot be
// used it may be called again with the same.
func (e *Engine) EndProviderSession(ctx context.Context, l Logout, c Caller) error {
	ctx, cancel := lasting(ctx)
	defer cancel()
	return e.problem(ctx, c, nil, e.endProviderSession(ctx, l, c))
}

func (e *Engine) endProviderSession(ctx context.Context, l Logout, c Caller) error {
	now := e.cfg.Now().UTC()
	end, err := l.end(now)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := e.fresh(ctx, l, now); err != nil {
		return err
	}
	over, err := e.cfg.Sessions.EndRooted(ctx, end)
	if err != nil {
		return fmt.Errorf("%w: sessions: %w", ErrUnavailable, err)
	}
	e.ended()
	events := []Event{{ID: newID(), Time: now, Type: EventProviderLogout, Reason: l.Way, Step: l.Provider, Request: c.RequestID}}
	for _, one := range slices.CompactFunc(over, func(a, b Session) bool { return a.ID == b.ID }) {
		events = append(events, Event{
			ID: newID(), Time: now, Type: EventSignedOut, Reason: l.Way, Client: one.Client, Subject: one.Subject, Request: c.RequestID,
		})
	}
	if err := e.cfg.Recorder.Record(ctx, events...); err != nil {
		return fmt.Errorf("%w: audit: %w", ErrUnavailable, err)
	}
	return e.spend(ctx, l, now)
}

// fresh returns nil if the message was not taken before. It takes nothing: a message
// that came to nothing is sent again.
func (e *Engine) fresh(ctx context.Context, l Logout, now time.Time) error {
	if l.Mark == "" {
		return nil
	}
	err := e.cfg.Marks.TakeMark(ctx, logoutMark(l), newID(), now, now)
	if errors.Is(err, ErrTaken) {
		return fmt.Errorf("%w: flows: the message was taken before", ErrMalformed)
	}
	return err
}

// spend takes the message; of two at once, which end the same, either may.
func (e *Engine) spend(ctx context.Context, l Logout, now time.Time) error {
	if l.Mark == "" {
		return nil
	}
	if err := e.cfg.Marks.TakeMark(ctx, logoutMark(l), newID(), now, l.Until); err != nil && !errors.Is(err, ErrTaken) {
		return fmt.Errorf("%w: marks: %w", ErrUnavailable, err)
	}
	return nil
}

func logoutMark(l Logout) string { return "logout/" + l.Provider + "/" + l.Mark }
