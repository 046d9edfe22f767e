// Package password is the step "password": a memorised secret that the server verifies.
package password

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

const doc = `Asks for the password of an account.

As the first step of a flow it also asks for the user name (identifierRequired
is true in the prompt); where the account is claimed or known already, a user
name in the answer is refused.

	prompt  PASSWORD_REQUIRED   {"identifierRequired": true}
	answer  {"username": "jane", "password": "..."}

The password is compared as NFC, in full, up to 1024 bytes. An unknown account,
an account without a password and a disabled password cost the same work and get
the same answer as a wrong password (SP 800-63B-4 §3.1.1, §3.2.2).

A hash that another system made, or that was made at other costs or with an old
pepper, is replaced when the password has been verified.

	with    forced_change: whether a password that has to be changed lets the run
	        go on; it then owes the obligation password_change, which a later
	        password_change settles. Default: it is denied.

It proves one factor, knowledge. It has no exits.
`

// Authenticators keeps the passwords of accounts. Safe for concurrent use.
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
	Hash(ctx context.Context, secret string) (string, error)
	// Stale says whether a hash is to be made anew.
	Stale(hash string) bool
	Verify(ctx context.Context, hash, secret string) error
	// VerifyDummy does the same work for an account that does not exist, and never succeeds.
	VerifyDummy(ctx context.Context, secret string) error
}

// Obligation is what a run owes whose password has to be changed.
const Obligation = "password_change"

// Type returns the step type.
func Type(as Authenticators, h Hasher) flows.StepType {
	return flows.StepType{
		Name:          "password",
		Doc:           doc,
		Code:          "PASSWORD_REQUIRED",
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Evidence:      []assurance.Ceiling{{Method: assurance.Password, Categories: []assurance.Category{assurance.Knowledge}}},
		Authenticator: account.TypePassword,
		Guessable:     true,
		Typed:         true,
		Raises:        []string{Obligation},
		RaisesOf: func(cfg flowdefs.Config) []string {
			var c config
			if cfg.Decode(&c) != nil || !c.ForcedChange {
				return nil
			}
			return []string{Obligation}
		},
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			var c config
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			return &step{as, h, c}, nil
		},
	}
}

type config struct {
	ForcedChange bool `yaml:"forced_change,optional" doc:"Whether a password that has to be changed lets the run go on, owing that; default: it is denied."`
}

type answer struct {
	Username string `json:"username,omitempty" maxLength:"256" doc:"only where identifierRequired"`
	Password string `json:"password" format:"password" minLength:"1" maxLength:"1024"`
}

type prompt struct {
	IdentifierRequired bool `json:"identifierRequired" doc:"Whether the answer has to name the account."`
}

type step struct {
	accounts Authenticators
	hasher   Hasher
	cfg      config
}

var _ flows.Claimer = (*step)(nil)

// Enter asks for the password. What was asked is kept: at the answer the
// account is claimed in any case.
func (s *step) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	p := prompt{IdentifierRequired: v.Identifier == "" && v.Claimed == "" && v.Subject == ""}
	if err := v.Keep(p); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(flows.Prompt{Data: p}), nil
}

// Claim returns the user name.
func (s *step) Claim(in flows.Input) (string, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return "", err
	}
	return a.Username, nil
}

// Answer verifies the password of the claimed account.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	var asked prompt
	if err := v.Kept(&asked); err != nil {
		return flows.Outcome{}, fmt.Errorf("password: %w", err)
	}
	if asked.IdentifierRequired != (a.Username != "") || a.Password == "" {
		return flows.Outcome{}, fmt.Errorf("%w: password needs %+v", flows.ErrMalformed, asked)
	}
	found, forced, err := s.verify(ctx, v, a.Password)
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUnfit): // too long: nothing was checked
		return flows.Outcome{}, fmt.Errorf("%w: password", flows.ErrMalformed)
	case err != nil:
		return flows.Outcome{}, busy("password", err)
	case forced && !s.cfg.ForcedChange:
		return flows.Exit("denied"), nil
	}
	out := flows.Pass(flows.Proof{Evidence: evidence(found)})
	if forced {
		out = out.Raising(Obligation)
	}
	return out, nil
}

// verify returns the authenticator that the password belongs to, and whether it
// has to be changed. It computes a hash also where there is none to compare with.
func (s *step) verify(ctx context.Context, v *flows.Visit, password string) (found account.Authenticator, forced bool, err error) {
	// Asked also for no account at all, so that the look-up takes its time.
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return found, false, err
	}
	for _, a := range all {
		if v.Claimed == "" || a.Type != account.TypePassword || a.Status != account.Active {
			continue
		}
		var d account.PasswordData
		if err := json.Unmarshal(a.Data, &d); err != nil {
			return found, false, fmt.Errorf("data of authenticator %s: %w", a.ID, err)
		}
		if err := s.hasher.Verify(ctx, d.Hash, password); err != nil {
			return found, false, err
		}
		return a, d.MustChange, s.accounts.UpdateAuthenticator(ctx, a.ID, use(v, d.Hash, s.renew(ctx, d.Hash, password)))
	}
	if err := s.hasher.VerifyDummy(ctx, password); err != nil {
		return found, false, err
	}
	return found, false, account.ErrWrong
}

// renew returns a new hash in the place of a stale one. Where none can be made
// now, the old one stays: another sign-in will do it.
func (s *step) renew(ctx context.Context, hash, password string) string {
	if !s.hasher.Stale(hash) {
		return hash
	}
	made, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return hash
	}
	return made
}

// use notes the use, and a new hash if the old one is still there, unless the
// authenticator was disabled or its password changed while it was being verified.
func use(v *flows.Visit, verified, renewed string) func(*account.Authenticator) error {
	return func(a *account.Authenticator) error {
		var d account.PasswordData
		if err := json.Unmarshal(a.Data, &d); err != nil {
			return fmt.Errorf("data of authenticator %s: %w", a.ID, err)
		}
		if a.Status != account.Active || d.Hash != verified {
			return account.ErrWrong
		}
		if renewed != verified {
			d.Hash = renewed
			data, err := json.Marshal(d)
			if err != nil {
				return err
			}
			a.Data = data
		}
		a.LastUsed = v.Now.UTC()
		return nil
	}
}

func evidence(a account.Authenticator) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method:        assurance.Password,
		Authenticator: a.ID,
		Categories:    []assurance.Category{assurance.Knowledge},
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
