package flows

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// CodeHandover is the type of the prompt that a client gets instead of one that
// it cannot draw: the client makes a link (the action hand_over), opens it in the
// system browser, and answers with the query of the redirect that comes back.
//
// The browser completes nothing. What is typed there is kept unread, sealed under
// a code that only the redirect carries; the step gets it in the client's own
// request, with its handle and key. So a link that somebody else opens proves
// nothing for the run that it is of, and a redirect that is slipped into
// another run is refused: like an authorization response (RFC 6749 §10.12).
const CodeHandover = "WEB_HANDOVER_REQUIRED"

// handoverLife is how long a link, the page behind it and its code are good for.
const handoverLife = 5 * time.Minute

// handover is a prompt that was handed over. It is dropped with the turn that it is
// of. Of its secrets one is good at a time: the link, then the page's, then the
// code, which is the key of the answer and nowhere else.
type handover struct {
	Turn    int       `json:"turn"`
	Expires time.Time `json:"expires"`
	State   string    `json:"state"` // comes back with the redirect
	Link    *Alias    `json:"link,omitempty"`
	Page    *Alias    `json:"page,omitempty"`
	Answer  []byte    `json:"answer,omitempty"` // sealed under the code
}

// aliases are what browsers find the run by.
func (h *handover) aliases() []*Alias {
	if h == nil {
		return nil
	}
	return []*Alias{h.Link, h.Page}
}

// handoverData is the data of the prompt; what follows Prompt is there only in the
// answer to hand_over and its repeat.
type handoverData struct {
	Prompt      string    `json:"prompt" doc:"Code of what the client cannot draw."`
	URI         string    `json:"uri,omitempty" doc:"To be opened in the system browser, once. A secret."`
	State       string    `json:"state,omitempty" doc:"Comes back with the redirect: another redirect is not for this run."`
	RedirectURI string    `json:"redirectUri,omitempty" doc:"Where the browser comes back to."`
	ExpiresAt   time.Time `json:"expiresAt,omitzero" doc:"How long the link is good."`
}

type handoverAnswer struct {
	QueryString string `json:"queryString" minLength:"1" maxLength:"1024" doc:"The query of the redirect, as it came."`
}

// HandoverSchema is the JSON Schema of the data of the prompt.
func HandoverSchema() json.RawMessage { return flowdefs.SchemaFor[handoverData]() }

// HandoverAnswer is the JSON Schema of the answer to it.
func HandoverAnswer() json.RawMessage { return flowdefs.SchemaFor[handoverAnswer]() }

// link shows a new link with the prompt that it is for.
func (v *View) link(d *handoverData) {
	if d != nil && v.NextStep != nil {
		v.NextStep.Data = *d
	}
}

// pages says whether pages draw what a client cannot draw.
func (e *Engine) pages(c *flowdefs.Client, draws []string) bool {
	return e.cfg.HandoverURL != "" && c.HandOver && slices.Contains(draws, CodeHandover)
}

// newPageSecret makes 256 random bits for one purpose, and what they are found by.
func newPageSecret(purpose string) (Secret, *Alias) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	a := pageAlias(purpose, b[:])
	return Secret(base64.RawURLEncoding.EncodeToString(b[:])), &a
}

func pageAlias(purpose string, b []byte) Alias {
	return sha256.Sum256(append([]byte("handover\x00"+purpose+"\x00"), b...))
}

func parsePageSecret(purpose string, s Secret) (Alias, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(s))
	if err != nil || len(b) != 32 || len(s) != 43 {
		return Alias{}, false
	}
	return pageAlias(purpose, b), true
}

// HandOver makes a fresh link to the page that draws the current prompt; one that
// was made before is void. The view shows it with the prompt.
func (e *Engine) HandOver(ctx context.Context, h Secret, c Caller, turn int) (View, error) {
	return e.change(ctx, h, c, func(ctx context.Context, x *exchange) error {
		s := &x.r.State
		switch {
		case turn != s.Turn:
			return x.conflict(CodeStaleTurn)
		case !s.Handed || !x.w.web:
			return x.conflict(CodeNotPossibleHere)
		case s.Subject != "" && x.w.account.Status != AccountActive:
			return x.drive(ctx, signal{kind: sigDenied})
		case x.w.stale:
			return x.drive(ctx, signal{kind: sigEnded})
		case x.overdue():
			return x.drive(ctx, signal{kind: sigTime})
		}
		link, alias := newPageSecret("link")
		ho := &handover{Turn: turn, Expires: x.w.now.Add(handoverLife), State: newID(), Link: alias}
		x.r.Handover = ho
		code, _ := asked(s, x.p.current(s))
		x.link = &handoverData{
			Prompt: code, URI: e.cfg.HandoverURL + "/" + string(link), State: ho.State,
			RedirectURI: x.redirect(), ExpiresAt: ho.Expires,
		}
		x.events = append(x.events, Event{Type: EventHandedOver, Step: s.At})
		return nil
	})
}

// handedBack takes what the browser brought back. Anything but the code of this
// prompt is refused and changes nothing, so that a redirect which was slipped in
// does not end the hand-over.
func (x *exchange) handedBack(ctx context.Context, n *node, in Input) error {
	var body handoverAnswer
	if err := in.Decode(&body); err != nil {
		return err
	}
	kept, err := x.r.Handover.redeem(body.QueryString, x.w.now)
	if err != nil {
		return &Problem{Kind: KindRejected, Code: CodeNotHanded, Detail: "This did not come from the page of this prompt.", Err: err}
	}
	return x.take(ctx, n, kept) // which ends the turn, and the hand-over
}

var errNotHanded = errors.New("flows: no such hand-over")

// redeem opens what was typed on the page.
func (h *handover) redeem(query string, now time.Time) (Input, error) {
	values, err := url.ParseQuery(query)
	if err != nil || len(values["handover"]) != 1 || len(values["state"]) != 1 || h == nil || !now.Before(h.Expires) ||
		subtle.ConstantTimeCompare([]byte(values["state"][0]), []byte(h.State)) != 1 {
		return nil, errNotHanded
	}
	aead, err := cipherOf(values["handover"][0], "stile hand-over")
	if err != nil {
		return nil, err
	}
	kept, err := aead.Open(nil, nil, h.Answer, nil)
	if err != nil {
		return nil, errNotHanded
	}
	return kept, nil
}
