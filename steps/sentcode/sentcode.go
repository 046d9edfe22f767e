// Package sentcode is what the steps that send a code have in common. It is not a step.
//
// A code is good once, for the run, step, visit, account and destination that it
// was made for, until it expires or another one is sent. Somebody who is not
// there, or has nothing to be sent to, gets the same work, the same prompt and,
// to every answer, that of a wrong code.
package sentcode

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// HardLimit is after how many consecutive failures an authenticator stays locked.
const HardLimit = 20

// How long what is sent is good: SP 800-63B-4 §3.1.3.2, ASVS 6.5.5.
const (
	shortest = 30 * time.Second
	Lifetime = 10 * time.Minute // the longest, and the default
)

// How many decimal digits a code has: SP 800-63B-4 §3.1.3.2.
const (
	fewest = 6
	most   = 8
)

// Kind is one way to send codes. All fields are required.
type Kind struct {
	Name    string // of the step type, and of the template of its messages
	Doc     string
	Code    string // of its prompts
	Channel string // of its messages

	Authenticator string // type of the authenticators that codes are sent to
	// Stored reads the destination out of an authenticator's data.
	Stored func(data []byte) (string, error)
	// Parse returns the one spelling of a destination, or why it is none.
	Parse func(text string) (string, error)
	// Mask is what may be shown of a destination.
	Mask func(destination string) string
	// Blank is shown of every destination before the first proof, where masks
	// of real ones cannot be made up; "" if Decoy makes them.
	Blank string
	// Decoy makes a destination out of what looks random; only its mask is shown.
	// Masks of its destinations have to be as likely as masks of real ones,
	// whatever is known of the person.
	Decoy func(seed []byte) string

	// Evidence is what a right code proves, but for whose authenticator it was.
	Evidence assurance.Evidence
}

// Ceilings is the most that the kind can prove.
func (k Kind) Ceilings() []assurance.Ceiling {
	e := k.Evidence
	return []assurance.Ceiling{{Channel: e.Channel, Method: e.Method, Categories: e.Categories, ReplayResistant: e.ReplayResistant}}
}

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
}

// Type returns the step type of that kind. The key, of 32 bytes, keys the hashes of codes.
func Type(k Kind, as Authenticators, key []byte) flows.StepType {
	return flows.StepType{
		Name:          k.Name,
		Doc:           k.Doc,
		Code:          k.Code,
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Typed:         true,
		Evidence:      k.Ceilings(),
		Authenticator: k.Authenticator,
		Guessable:     true,
		HardLimit:     HardLimit,
		Sends:         true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Digits: fewest, Lifetime: Lifetime}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := c.check(); err != nil {
				return nil, err
			}
			if len(key) < 32 {
				return nil, fmt.Errorf("%s: the key has not 32 bytes", k.Name)
			}
			return &step{Office{k, as, key}, c}, nil
		},
	}
}

type config struct {
	Digits   int           `yaml:"digits,optional" minimum:"6" maximum:"8" doc:"Digits of the code, 6 to 8; default 6."`
	Lifetime time.Duration `yaml:"lifetime,optional" doc:"How long a code is good; default and at most 10m."`
}

func (c config) check() error {
	if c.Digits < fewest || c.Digits > most {
		return fmt.Errorf("digits: %d is not between %d and %d", c.Digits, fewest, most)
	}
	return CheckLifetime(c.Lifetime)
}

// CheckLifetime says what is wrong with how long something sent is to be good.
func CheckLifetime(d time.Duration) error {
	if d < shortest || d > Lifetime {
		return fmt.Errorf("lifetime: expected between %s and %s", shortest, Lifetime)
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
	Office

	cfg config
}

// Enter sends a code, or says when one can be sent.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	at, err := s.Mailbox(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	code, expires := NewCode(s.cfg.Digits), v.Now.Add(s.cfg.Lifetime)
	sent, err := v.Send(ctx, flows.Message{
		Channel: s.Kind.Channel, To: at.Address, Template: s.Kind.Name, Locale: v.Locale, Expires: expires,
		Args: map[string]string{"code": code, "minutes": strconv.Itoa(max(1, int(s.cfg.Lifetime/time.Minute)))},
	})
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%s: %w", s.Kind.Name, err)
	}
	p := prompt{Destination: s.Shown(at, v), Digits: s.cfg.Digits, Sent: sent.Sent}
	if !sent.Again.IsZero() {
		again := sent.Again.UTC()
		p.ResendAt = &again
	}
	if sent.Sent {
		p.ExpiresAt = &expires
		if err := v.Keep(s.Seal(v, at, code, expires)); err != nil {
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
	at, err := s.Mailbox(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	var kept Sealed
	if err := v.Kept(&kept); err != nil && !errors.Is(err, flows.ErrNotFound) {
		return flows.Outcome{}, err
	}
	if !s.Opens(kept, v, at, a.Code) {
		return flows.Reject("wrong", nil), nil
	}
	return flows.Pass(flows.Proof{Evidence: s.Evidence(at.Authenticator)}), nil
}
