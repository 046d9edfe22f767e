// Package totp is the step "totp": a one-time code of an authenticator app (RFC 6238).
package totp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

const doc = `Asks for a time-based one-time code (RFC 6238).

The code of the current step of 30 seconds is good, and the one before it (§5.2);
the next one only where a resynchronisation has shown that the device's clock is
ahead. A code is accepted once, in whichever run: its time step is stored by a
compare-and-set, and neither it nor an earlier one is accepted again. Only the
very same request, repeated after a crash, may use it again.

	prompt  OTP_REQUIRED   {"digits": 6, "period": 30}
	answer  {"code": "123456"}

	with    digits: how many digits the codes have that are asked for, 6 to 8; default 6

An unknown account, a missing and a disabled authenticator get the same work and
the same answer as a wrong code. After 20 consecutive failures the authenticator
stays locked until an administrator acts (SP 800-63B-4 §3.2.2).

An authenticator with codes of another length does not count.

It proves one factor, possession, replay-resistant. It has no exits.
`

const (
	hardLimit = 20
	period    = 30
)

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Type returns the step type. The sealer is the one that sealed the seeds.
func Type(as Authenticators, sealer account.Sealer) flows.StepType {
	return flows.StepType{
		Name:   "totp",
		Doc:    doc,
		Code:   "OTP_REQUIRED",
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Evidence: []assurance.Ceiling{{
			Method:          assurance.TOTP,
			Categories:      []assurance.Category{assurance.Possession},
			ReplayResistant: true,
		}},
		Authenticator: account.TypeTOTP,
		Guessable:     true,
		Typed:         true,
		HardLimit:     hardLimit,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Digits: 6}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if c.Digits < 6 || c.Digits > 8 {
				return nil, fmt.Errorf("digits: %d is not between 6 and 8", c.Digits)
			}
			decoy, err := newDecoy(sealer, c.Digits)
			if err != nil {
				return nil, err
			}
			return &step{as, sealer, c.Digits, decoy}, nil
		},
	}
}

type config struct {
	Digits int `yaml:"digits,optional" minimum:"6" maximum:"8" doc:"Digits of the codes that are asked for, 6 to 8; default 6."`
}

type answer struct {
	Code string `json:"code" pattern:"^[0-9]{6,8}$"`
}

type prompt struct {
	Digits int `json:"digits" doc:"Length of the code."`
	Period int `json:"period" doc:"Seconds that a code is shown."`
}

type step struct {
	accounts Authenticators
	sealer   account.Sealer
	digits   int
	decoy    account.Authenticator // what unknown accounts are measured against
}

// newDecoy makes an authenticator that nobody has: the work of checking it is real.
func newDecoy(sealer account.Sealer, digits int) (account.Authenticator, error) {
	a := account.Authenticator{ID: "decoy", Type: account.TypeTOTP, Status: account.Active}
	seed, err := account.NewSeed(rand.Reader)
	if err != nil {
		return a, err
	}
	sealed, err := account.SealSeed(sealer, a.Subject, a.ID, seed)
	if err != nil {
		return a, fmt.Errorf("totp: %w", err)
	}
	a.Data, err = json.Marshal(account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: digits, Period: period})
	return a, err
}

// Enter asks for the code.
func (s *step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: prompt{s.digits, period}}), nil
}

// Answer uses the code up.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if len(a.Code) != s.digits || strings.Trim(a.Code, "0123456789") != "" {
		return flows.Outcome{}, fmt.Errorf("%w: a code has %d digits", flows.ErrMalformed, s.digits)
	}
	found, err := s.use(ctx, v, a.Code)
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUsed):
		return flows.Reject("replayed", nil), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("one-time code: %w", err)
	}
	return flows.Pass(flows.Proof{Evidence: evidence(found)}), nil
}

// use finds the authenticator that the code belongs to and takes the code. A
// code that is wrong is found out on a copy, so that it costs no transaction,
// which would tell known accounts from unknown ones.
func (s *step) use(ctx context.Context, v *flows.Visit, code string) (account.Authenticator, error) {
	candidates, err := s.candidates(ctx, v)
	if err != nil {
		return account.Authenticator{}, err
	}
	take := func(a *account.Authenticator) error {
		return account.UseTOTP(a, s.sealer, v.Now, code, v.Owner())
	}
	if len(candidates) == 0 {
		decoy := s.decoy
		_ = take(&decoy) // for the work alone
		return account.Authenticator{}, account.ErrWrong
	}
	result := account.ErrWrong
	for _, a := range candidates {
		attempt := a
		switch err := take(&attempt); {
		case errors.Is(err, account.ErrWrong):
		case errors.Is(err, account.ErrUsed):
			result = err
		case err != nil:
			return account.Authenticator{}, err
		default:
			return a, s.accounts.UpdateAuthenticator(ctx, a.ID, take)
		}
	}
	return account.Authenticator{}, result
}

// candidates returns the active authenticators of the claimed account. It asks
// also for no account at all, so that the look-up takes its time.
func (s *step) candidates(ctx context.Context, v *flows.Visit) ([]account.Authenticator, error) {
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return nil, err
	}
	var active []account.Authenticator
	for _, a := range all {
		if v.Claimed != "" && a.Type == account.TypeTOTP && a.Status == account.Active {
			active = append(active, a)
		}
	}
	return active, nil
}

func evidence(a account.Authenticator) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method:          assurance.TOTP,
		Authenticator:   a.ID,
		Categories:      []assurance.Category{assurance.Possession},
		ReplayResistant: true,
		Binding:         binding,
		Cap:             assurance.AAL3,
	}
}
