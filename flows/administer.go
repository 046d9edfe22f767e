package flows

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// Act is what an administrator does to an account, outside of any run.
type Act struct {
	Event  Event     // what is audited; its Subject says whose account it is
	Notice Notice    // what the account's owner is told; "": nothing
	About  string    // the type of authenticator that it is about
	Send   []Message // what else is sent, such as a code
	Ends   bool      // the account's sessions end with it
	Do     func(ctx context.Context) error
}

// Administer does it. Before it is done it is audited, and what is to be told is
// kept in the store, from where every node sends it, also after a crash: an event
// and a notice too many are better than an act that nobody hears of. Sessions end
// behind it, so that none is left that began with what was there before.
// [ErrUnavailable] if there is something to send and nothing that sends.
func (e *Engine) Administer(ctx context.Context, a Act) error {
	if len(a.Send) > 0 && e.cfg.Outbox == nil {
		return fmt.Errorf("%w: there is no way to send messages", ErrUnavailable)
	}
	who, err := e.cfg.Accounts.Account(ctx, a.Event.Subject)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	a.Event.ID, a.Event.Time = cmp.Or(a.Event.ID, rand.Text()), e.cfg.Now().UTC()
	events, letters := []Event{a.Event}, a.Send
	if a.Notice != "" && !e.silent(a.Notice) && len(who.Contacts) > 0 {
		told := Event{ID: a.Event.ID + ".notice", Time: a.Event.Time, Type: EventNotified, Subject: a.Event.Subject, Reason: string(a.Notice)}
		events = append(events, told)
		for _, to := range who.Contacts {
			letters = append(letters, noticeOf(a.Notice, a.About, to, "", a.Event.Time))
		}
	}
	for _, m := range letters {
		if region := e.cfg.Budget.Region; region != nil {
			if _, err := region(m); err != nil {
				return fmt.Errorf("%w: no message goes there: %w", ErrUnavailable, err)
			}
		}
	}
	if err := e.cfg.Recorder.Record(ctx, events...); err != nil {
		return fmt.Errorf("%w: audit: %w", ErrUnavailable, err)
	}
	if err := e.notify(ctx, a.Event.ID, letters); err != nil {
		return err
	}
	if err := a.Do(ctx); err != nil || !a.Ends {
		return err
	}
	at := e.cfg.Now().UTC()
	defer e.ended()
	return e.cfg.Sessions.EndSessions(ctx, SessionsEnd{Subject: a.Event.Subject, At: at, Until: at.Add(endKept)})
}
