// Package pin is the step "pin": a PIN that the server knows, on a bound phone.
package pin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

const doc = `Asks for a PIN that the server verifies.

A PIN that the server knows is a password, to SP 800-63B-4 §3.1.1 and to RFC 8176
("pwd"), and under eight digits it earns nothing towards a level. It is offered
only on a run whose key belongs to a bound device of the account, so that an
online guess needs the phone first, and it stays locked after ten consecutive
failures until an administrator acts.

	prompt  PIN_REQUIRED   {"minLength": 6, "maxLength": 12}
	answer  {"pin": "83710426"}

A PIN that belongs to one device is good on that device alone. An unknown
account, a missing and a disabled PIN get the same work and the same answer as a
wrong PIN. It proves one factor, knowledge; it takes no configuration and has no
exits.
`

// hardLimit is far below the 100 that SP 800-63B-4 §3.2.2 allows: a PIN has few values.
const hardLimit = 10

// fullEntropy is the number of digits from which a PIN counts as a factor.
const fullEntropy = 8

// Authenticators keeps the PINs of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Hasher verifies secrets; [account.Hasher] is one. A wrong secret is [account.ErrWrong].
type Hasher interface {
	Verify(ctx context.Context, hash, secret string) error
	// VerifyDummy does the same work for an account that does not exist, and never succeeds.
	VerifyDummy(ctx context.Context, secret string) error
}

// Type returns the step type.
func Type(as Authenticators, h Hasher) flows.StepType {
	return flows.StepType{
		Name:          "pin",
		Doc:           doc,
		Code:          "PIN_REQUIRED",
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Evidence:      []assurance.Ceiling{{Method: assurance.PIN, Categories: []assurance.Category{assurance.Knowledge}}},
		Authenticator: account.TypePIN,
		Guessable:     true,
		Typed:         true,
		HardLimit:     hardLimit,
		NeedsDevice:   true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			if err := cfg.Decode(&struct{}{}); err != nil {
				return nil, err
			}
			return &step{as, h}, nil
		},
	}
}

type answer struct {
	PIN string `json:"pin" format:"password" pattern:"^[0-9]{6,12}$"`
}

type prompt struct {
	MinLength int `json:"minLength" doc:"Least number of digits."`
	MaxLength int `json:"maxLength" doc:"Greatest number of digits."`
}

type step struct {
	accounts Authenticators
	hasher   Hasher
}

// Enter asks for the PIN.
func (s *step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: prompt{account.MinPIN, account.MaxPIN}}), nil
}

// Answer verifies the PIN of the claimed account.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if n := len(a.PIN); n < account.MinPIN || n > account.MaxPIN || strings.Trim(a.PIN, "0123456789") != "" {
		return flows.Outcome{}, fmt.Errorf("%w: a PIN has %d to %d digits", flows.ErrMalformed, account.MinPIN, account.MaxPIN)
	}
	found, err := s.verify(ctx, v, a.PIN)
	if errors.Is(err, account.ErrWrong) {
		return flows.Reject("wrong", nil), nil
	}
	if err != nil {
		return flows.Outcome{}, busy("PIN", err)
	}
	return flows.Pass(flows.Proof{Evidence: evidence(found, a.PIN)}), nil
}

// verify returns the authenticator that the PIN belongs to. It computes a hash
// also where there is none to compare with.
func (s *step) verify(ctx context.Context, v *flows.Visit, pin string) (account.Authenticator, error) {
	// Asked also for no account at all, so that the look-up takes its time.
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return account.Authenticator{}, err
	}
	a, found := choose(all, v.Key)
	if v.Claimed == "" || !found {
		if err := s.hasher.VerifyDummy(ctx, pin); err != nil {
			return account.Authenticator{}, err
		}
		return account.Authenticator{}, account.ErrWrong
	}
	var d account.PINData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return account.Authenticator{}, fmt.Errorf("data of authenticator %s: %w", a.ID, err)
	}
	if err := s.hasher.Verify(ctx, d.Hash, pin); err != nil {
		return account.Authenticator{}, err
	}
	return a, s.accounts.UpdateAuthenticator(ctx, a.ID, use(v))
}

// choose returns the PIN of this very device, the newest if it was set again,
// else one that belongs to no device.
func choose(all []account.Authenticator, key string) (chosen account.Authenticator, found bool) {
	if key == "" { // no device, no PIN
		return chosen, false
	}
	for _, a := range all {
		if a.Type != account.TypePIN || a.Status != account.Active || a.Key != key && a.Key != "" {
			continue
		}
		switch own := a.Key == key; {
		case !found, own && chosen.Key == "", own && a.Created.After(chosen.Created):
			chosen, found = a, true
		}
	}
	return chosen, found
}

// use notes the use, unless the authenticator was disabled while it was being verified.
func use(v *flows.Visit) func(*account.Authenticator) error {
	return func(a *account.Authenticator) error {
		if a.Status != account.Active {
			return account.ErrWrong
		}
		a.LastUsed = v.Now.UTC()
		return nil
	}
}

func evidence(a account.Authenticator, pin string) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method:        assurance.PIN,
		Authenticator: a.ID,
		Categories:    []assurance.Category{assurance.Knowledge},
		LowEntropy:    len(pin) < fullEntropy,
		Binding:       binding,
		Cap:           assurance.AAL3,
	}
}

// busy keeps the class of a failure: only a hasher without a free turn is an
// outage of ours; what a store says of itself stays as it is.
func busy(what string, err error) error {
	if errors.Is(err, account.ErrBusy) {
		return fmt.Errorf("%w: %s: %w", flows.ErrUnavailable, what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
