// Package magiclink is the step "magic_link": a link that is sent to the account's e-mail address.
package magiclink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/sentcode"
)

const doc = `Sends a link to the account's e-mail address and waits for it to be opened.

	prompt  MAGIC_LINK_REQUIRED   {"destination": "j***@b***", "sent": true, "confirmed": false,
	                               "expiresAt": "...", "resendAt": "..."}
	answer  {"token": "..."}      what the link ends in, if the app itself has opened the link
	        {"code": "12345678"}  what the link's page shows, if a browser has opened it

	with    lifetime:  how long link and code are good, from 30s to 10m; default 10m

The link leads to a page of this server, which says which app asks, and since when.
Opening the page changes nothing: mail scanners open links too. Who confirms on the
page is shown a code of eight digits, and the prompt changes to confirmed: true; an app
that waits (Prefer: wait, or the events of the run) sees it at once and asks for the
code. So a link that is opened by somebody else than who began the run completes
nothing: neither the attacker who began it nor the person who opened it has both. An
app on the same device that opens links of this server itself (universal links, app
links) needs no page and no code: it answers with the token of the link. The token
is good for the run that sent it alone.

Who denies on the page refuses the step for good: the run leaves it by the exit denied
as soon as the client comes again, the event link_denied is recorded, and the owner
of the account is told. Who does neither has nothing to fear.

A link is good once, for this run, this step and this address, until it expires, is
confirmed or denied, another one is sent, or the step is left; a code likewise.
Whatever is wrong with a link, its page says the same. How often another one is sent
says resend of the step, and on top of it the budgets of the account and of the
address. sent, expiresAt, resendAt and destination are as in email_code, and so is what
unknown accounts get: the same work, the same prompt and, to every answer, that of a
wrong code. Wrong answers count on the account's e-mail address, together with
those of email_code: after 20 in a row it stays locked until an administrator acts.

To NIST e-mail is no factor (SP 800-63B-4 §3.1.3.1): the step proves an address and
earns nothing towards a level. A deployment can depart from that (email_is_factor of
assurance.deviations): then it is one factor of aal1, and never the second of two.
Tokens say otp and urn:stile-auth:amr:email in amr.
`

// digits of the codes that pages show: more than 20 bits.
const digits = 8

// Type returns the step type. The key, of 32 bytes, keys the hashes of links and codes.
func Type(as sentcode.Authenticators, key []byte) flows.StepType {
	kind := sentcode.Email("magic_link", doc, "MAGIC_LINK_REQUIRED")
	return flows.StepType{
		Name: kind.Name, Doc: kind.Doc, Code: kind.Code,
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         json.RawMessage(input),
		Evidence:      kind.Ceilings(),
		Authenticator: kind.Authenticator,
		Guessable:     true,
		HardLimit:     sentcode.HardLimit,
		Sends:         true,
		Links:         true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Lifetime: sentcode.Lifetime}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := sentcode.CheckLifetime(c.Lifetime); err != nil {
				return nil, err
			}
			if len(key) < 32 {
				return nil, fmt.Errorf("%s: the key has not 32 bytes", kind.Name)
			}
			return &step{sentcode.Office{Kind: kind, Accounts: as, Key: key}, c}, nil
		},
	}
}

type config struct {
	Lifetime time.Duration `yaml:"lifetime,optional" doc:"How long a link and its code are good; default and at most 10m."`
}

type prompt struct {
	Destination string     `json:"destination"`
	Sent        bool       `json:"sent"`
	Confirmed   bool       `json:"confirmed"`
	ExpiresAt   *time.Time `json:"expiresAt,omitempty"`
	ResendAt    *time.Time `json:"resendAt,omitempty"`
}

// answer has one of its members.
type answer struct {
	Token string `json:"token,omitempty"`
	Code  string `json:"code,omitempty"`
}

const input = `{"type":"object","additionalProperties":false,"minProperties":1,"maxProperties":1,"properties":{` +
	`"token":{"type":"string","pattern":"^[A-Za-z0-9_-]{43}$"},"code":{"type":"string","pattern":"^[0-9]{8}$"}}}`

func (a answer) check() error {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	switch {
	case a.Code == "" && len(a.Token) == 43 && strings.Trim(a.Token, alphabet) == "",
		a.Token == "" && len(a.Code) == digits && strings.Trim(a.Code, "0123456789") == "":
		return nil
	}
	return fmt.Errorf("%w: expected a token of 43 characters or a code of %d digits", flows.ErrMalformed, digits)
}

// memory is what the run keeps: of the link until it is confirmed, then of the code.
type memory struct {
	Link *sentcode.Sealed `json:"link,omitempty"`
	Code *sentcode.Sealed `json:"code,omitempty"`

	Prompt prompt `json:"prompt"` // as it was sent
}

type step struct {
	sentcode.Office

	cfg config
}

var _ flows.Confirmer = (*step)(nil)

// Enter sends a link, or says when one can be sent.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	at, err := s.Mailbox(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	expires := v.Now.Add(s.cfg.Lifetime)
	uri, token, err := v.Link(expires)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%s: %w", s.Kind.Name, err)
	}
	sent, err := v.Send(ctx, flows.Message{
		Channel: s.Kind.Channel, To: at.Address, Template: s.Kind.Name, Locale: v.Locale, Expires: expires,
		Args: map[string]string{
			"link": uri, "client": v.Client.ID, "time": v.Now.UTC().Format("2006-01-02 15:04 UTC"),
			"minutes": strconv.Itoa(max(1, int(s.cfg.Lifetime/time.Minute))),
		},
	})
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%s: %w", s.Kind.Name, err)
	}
	p := prompt{Destination: s.Shown(at, v), Sent: sent.Sent}
	if !sent.Again.IsZero() {
		again := sent.Again.UTC()
		p.ResendAt = &again
	}
	if sent.Sent {
		p.ExpiresAt = &expires
		sealed := s.Seal(v, at, string(token), expires)
		if err := v.Keep(memory{Link: &sealed, Prompt: p}); err != nil {
			return flows.Outcome{}, err
		}
	}
	return flows.Ask(flows.Prompt{Data: p}), nil
}

// Confirmed makes the code that takes the place of the link, if the account still
// has the address that the link went to.
func (s *step) Confirmed(ctx context.Context, v *flows.Visit, token flows.Secret) (flows.Prompt, flows.Secret, error) {
	at, err := s.Mailbox(ctx, v)
	if err != nil {
		return flows.Prompt{}, "", err
	}
	var kept memory
	if err := v.Kept(&kept); err != nil {
		return flows.Prompt{}, "", err
	}
	if kept.Link == nil || !s.Opens(*kept.Link, v, at, string(token)) {
		return flows.Prompt{}, "", flows.ErrNotFound
	}
	code, expires := sentcode.NewCode(digits), v.Now.Add(s.cfg.Lifetime)
	sealed := s.Seal(v, at, code, expires)
	p := kept.Prompt
	p.Confirmed, p.ExpiresAt = true, &expires
	return flows.Prompt{Data: p}, flows.Secret(code), v.Keep(memory{Code: &sealed, Prompt: p})
}

// Answer compares what the app has with what was sent last, or shown since.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if err := a.check(); err != nil {
		return flows.Outcome{}, err
	}
	at, err := s.Mailbox(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	var kept memory
	if err := v.Kept(&kept); err != nil && !errors.Is(err, flows.ErrNotFound) {
		return flows.Outcome{}, err
	}
	sealed, secret := kept.Link, a.Token
	if a.Code != "" {
		sealed, secret = kept.Code, a.Code
	}
	if sealed == nil {
		sealed = &sentcode.Sealed{} // nothing opens it
	}
	if !s.Opens(*sealed, v, at, secret) {
		return flows.Reject("wrong", nil), nil
	}
	return flows.Pass(flows.Proof{Evidence: s.Evidence(at.Authenticator)}), nil
}
