// Package emailcode is the step "email_code": a code that is sent to the account's e-mail address.
package emailcode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

const doc = `Sends a code to the account's e-mail address and asks for it.

	prompt  EMAIL_CODE_REQUIRED   {"destination": "j***@b***", "digits": 6, "sent": true,
	                               "expiresAt": "...", "resendAt": "..."}
	answer  {"code": "123456"}

	with    digits:    6 to 8; default 6
	        lifetime:  how long a code is good, from 30s to 10m; default 10m

A code is good once, for this run, this step and this address, until it expires,
another one is sent, or the step is left. How often another one is sent says resend of the step, and
on top of it the budgets of the account and of the address. If nothing could be
sent when the run arrived, sent is false, and resendAt says when it can be;
without resendAt there will be no other code in this run.

The address is that of the account, never one of a request. destination shows the
first letters of it. Before anybody was proved to be there it gives nothing away:
who was named by an e-mail address is shown that one; for anybody else who has no
address it is made up, always the same for the same name. An unknown account, one
without an address and a disabled one get the same work, the same prompt and, to
every answer, that of a wrong code. After 20 consecutive failures the
authenticator stays locked until an administrator acts.

To NIST e-mail is no factor (SP 800-63B-4 §3.1.3.1): the step proves an address and
earns nothing towards a level. A deployment can depart from that (email_is_factor of
assurance.deviations): then it is one factor of aal1, and never the second of two.
Tokens say otp and urn:stile-auth:amr:email in amr. It has no exits.
`

const (
	hardLimit = 20
	lifetime  = 10 * time.Minute // SP 800-63B-4 §3.1.3.2, ASVS 6.5.5
	shortest  = 30 * time.Second
	fewest    = 6 // decimal digits: SP 800-63B-4 §3.1.3.2
	most      = 8
	template  = "email_code"
)

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
}

// Type returns the step type. The key, of 32 bytes, keys the hashes of codes.
func Type(as Authenticators, key []byte) flows.StepType {
	return flows.StepType{
		Name:   "email_code",
		Doc:    doc,
		Code:   "EMAIL_CODE_REQUIRED",
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Typed:  true,
		Evidence: []assurance.Ceiling{{
			Channel:         "mail",
			Method:          assurance.Email,
			ReplayResistant: true,
		}},
		Authenticator: account.TypeEmail,
		Guessable:     true,
		HardLimit:     hardLimit,
		Sends:         true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Digits: fewest, Lifetime: lifetime}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := c.check(); err != nil {
				return nil, err
			}
			if len(key) < 32 {
				return nil, errors.New("email_code: the key has not 32 bytes")
			}
			return &step{as, key, c}, nil
		},
	}
}

type config struct {
	Digits   int           `yaml:"digits,optional" minimum:"6" maximum:"8" doc:"Digits of the code, 6 to 8; default 6."`
	Lifetime time.Duration `yaml:"lifetime,optional" doc:"How long a code is good; default and at most 10m."`
}

func (c config) check() error {
	switch {
	case c.Digits < fewest || c.Digits > most:
		return fmt.Errorf("digits: %d is not between %d and %d", c.Digits, fewest, most)
	case c.Lifetime < shortest || c.Lifetime > lifetime:
		return fmt.Errorf("lifetime: expected between %s and %s", shortest, lifetime)
	}
	return nil
}

type answer struct {
	Code string `json:"code" pattern:"^[0-9]{6,8}$"`
}

type prompt struct {
	Destination string     `json:"destination"`
	Digits      int        `json:"digits"`
	Sent        bool       `json:"sent"`
	ExpiresAt   *time.Time `json:"expiresAt,omitempty"`
	ResendAt    *time.Time `json:"resendAt,omitempty"`
}

type step struct {
	accounts Authenticators
	key      []byte
	cfg      config
}

// Enter sends a code, or says when one can be sent.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	at, err := s.mailbox(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	code, expires := newCode(s.cfg.Digits), v.Now.Add(s.cfg.Lifetime)
	sent, err := v.Send(ctx, flows.Message{
		Channel: "email", To: at.address, Template: template, Locale: v.Locale, Expires: expires,
		Args: map[string]string{"code": code, "minutes": strconv.Itoa(max(1, int(s.cfg.Lifetime/time.Minute)))},
	})
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("e-mail: %w", err)
	}
	p := prompt{Destination: at.shown(v), Digits: s.cfg.Digits, Sent: sent.Sent}
	if !sent.Again.IsZero() {
		again := sent.Again.UTC()
		p.ResendAt = &again
	}
	if sent.Sent {
		p.ExpiresAt = &expires
		if err := v.Keep(s.seal(v, at, code, expires)); err != nil {
			return flows.Outcome{}, err
		}
	}
	return flows.Ask(flows.Prompt{Data: p}), nil
}

// Answer compares the code with the one that was sent last.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if len(a.Code) < fewest || len(a.Code) > most || strings.Trim(a.Code, "0123456789") != "" {
		return flows.Outcome{}, fmt.Errorf("%w: a code has %d to %d digits", flows.ErrMalformed, fewest, most)
	}
	at, err := s.mailbox(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	var kept sealed
	if err := v.Kept(&kept); err != nil && !errors.Is(err, flows.ErrNotFound) {
		return flows.Outcome{}, err
	}
	right := s.opens(kept, v, at, a.Code)
	if !right || at.address == "" || kept.Authenticator != at.authenticator.ID || !v.Now.Before(kept.Expires) {
		return flows.Reject("wrong", nil), nil
	}
	return flows.Pass(flows.Proof{Evidence: s.evidence(at.authenticator)}), nil
}

func (s *step) evidence(a account.Authenticator) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method: assurance.Email, Authenticator: a.ID, Channel: "mail", ReplayResistant: true, Binding: binding, Cap: assurance.AAL1,
	}
}

// mailbox is where codes of the claimed account go. The zero value is nobody's.
type mailbox struct {
	address       string
	authenticator account.Authenticator
}

// mailbox finds the active address of the claimed account; of several the one
// that was bound first. It asks also for no account at all, so that the look-up
// takes its time.
func (s *step) mailbox(ctx context.Context, v *flows.Visit) (mailbox, error) {
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return mailbox{}, fmt.Errorf("e-mail: %w", err)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a account.Authenticator) bool {
		return v.Claimed == "" || a.Type != account.TypeEmail || a.Status != account.Active
	})
	if len(all) == 0 {
		return mailbox{}, nil
	}
	found := slices.MinFunc(all, func(a, b account.Authenticator) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return mailbox{addressOf(found), found}, nil
}
