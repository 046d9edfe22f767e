package flows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// Page is what a page shows of a run that was handed over to it.
type Page struct {
	Client   string // who asks
	Redirect string // where the browser goes back to
	Locale   string // that the client said
	StepID   string
	Turn     int
	Code     string // of the prompt; the same as nextStep.type would be
	Data     json.RawMessage
	Schema   json.RawMessage // of the answer
}

// Linked returns the page of a link that nobody has opened yet. It changes
// nothing: what looks at links before people do (mail scanners, previews) does no harm.
// A link that is not good, whatever is wrong with it, is a [Problem] of KindNotFound.
func (e *Engine) Linked(ctx context.Context, link Secret, requestID string) (Page, error) {
	x, err := e.paged(ctx, "link", link, requestID)
	if err != nil {
		return Page{}, e.problem(ctx, Caller{RequestID: requestID}, nil, err)
	}
	return x.page(), nil
}

// OpenLink spends a link, and returns the secret that its page is shown for: it
// belongs into a cookie of the browser that opened it.
func (e *Engine) OpenLink(ctx context.Context, link Secret, requestID string) (Secret, error) {
	x, err := e.paged(ctx, "link", link, requestID)
	if err == nil {
		var page Secret
		page, x.r.Handover.Page = newPageSecret("page")
		x.r.Handover.Link = nil
		x.events = append(x.events, Event{Type: EventPageOpened, Step: x.r.State.At})
		if err = x.keep(ctx); err == nil {
			return page, nil
		}
	}
	return "", e.problem(ctx, Caller{RequestID: requestID}, nil, err)
}

// Page returns what a page shows.
func (e *Engine) Page(ctx context.Context, page Secret, requestID string) (Page, error) {
	x, err := e.paged(ctx, "page", page, requestID)
	if err != nil {
		return Page{}, e.problem(ctx, Caller{RequestID: requestID}, nil, err)
	}
	return x.page(), nil
}

// AnswerPage keeps what was typed, unread, and returns where the browser has to
// go: to the client, with the code that the client completes the step with. The
// page is over.
func (e *Engine) AnswerPage(ctx context.Context, page Secret, turn int, in Input, requestID string) (redirect string, err error) {
	x, err := e.paged(ctx, "page", page, requestID)
	if err == nil && turn != x.r.State.Turn {
		err = notFound(nil)
	}
	if err == nil {
		if redirect, err = x.answerPage(ctx, in); err == nil {
			return redirect, nil
		}
	}
	return "", e.problem(ctx, Caller{RequestID: requestID}, nil, err)
}

func (x *exchange) answerPage(ctx context.Context, in Input) (string, error) {
	ho := x.r.Handover
	u, err := url.Parse(x.redirect())
	if err != nil {
		return "", fmt.Errorf("flows: redirect URI of %s: %w", x.client.ID, err)
	}
	code, _ := newPageSecret("code")
	aead, err := cipherOf(string(code), "stile hand-over")
	if err != nil {
		return "", err
	}
	ho.Page, ho.Answer = nil, aead.Seal(nil, nil, in, nil)
	q := u.Query()
	q.Set("handover", string(code))
	q.Set("state", ho.State)
	u.RawQuery = q.Encode()
	x.events = append(x.events, Event{Type: EventPageAnswered, Step: x.r.State.At})
	return u.String(), x.keep(ctx)
}

// paged finds the run of a page's secret. Whatever is not right, the answer is
// one and the same.
func (e *Engine) paged(ctx context.Context, purpose string, s Secret, requestID string) (*exchange, error) {
	alias, ok := parsePageSecret(purpose, s)
	if !ok {
		return nil, notFound(nil)
	}
	x, err := e.elsewhere(ctx, alias, requestID)
	if err != nil {
		return nil, err
	}
	if h := x.r.Handover; h == nil || !x.w.web || !x.w.now.Before(h.Expires) || x.overdue() {
		return nil, notFound(nil)
	}
	return x, nil
}

// elsewhere finds the run of what is presented outside its conversation with the
// client. A run that is not there, or is over, is one and the same.
func (e *Engine) elsewhere(ctx context.Context, alias Alias, requestID string) (*exchange, error) {
	rec, err := e.cfg.Store.Load(ctx, alias, e.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return nil, notFound(err)
	}
	if err != nil {
		return nil, err
	}
	r, err := e.openRecord(rec)
	if err != nil {
		e.cfg.Logger.Error("run does not open")
		return nil, notFound(err)
	}
	x, err := e.resume(ctx, &exchange{e: e, a: e.active.Load(), c: Caller{RequestID: requestID}, r: r}, false)
	var pr *Problem
	if errors.As(err, &pr) && (pr.Kind == KindFinished || pr.Kind == KindFailed) {
		return nil, notFound(err)
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// page shows the prompt as a client that can draw it would get it.
func (x *exchange) page() Page {
	s := &x.r.State
	p := Page{
		Client: x.client.ID, Redirect: x.redirect(), Locale: x.r.Locale,
		StepID: s.At, Turn: s.Turn, Data: s.Data,
	}
	p.Code, p.Schema = asked(s, x.p.current(s))
	return p
}

// keep stores what a page has changed: the hand-over, and nothing of the state or
// of the answer that is kept for the client.
func (x *exchange) keep(ctx context.Context) error {
	x.stamp()
	err := x.store(ctx)
	if errors.Is(err, ErrConflict) {
		return notFound(err) // the run has moved on, or somebody else was faster
	}
	if err != nil {
		return err
	}
	return x.e.recordEffects(ctx, x.r)
}
