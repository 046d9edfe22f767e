// Package totp is the step "totp": a one-time code of an authenticator app (RFC 6238).
package totp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/onetime"
)

const doc = `Asks for a time-based one-time code (RFC 6238).

The code of the current time step is good, and the one before it (§5.2); the next
one only where the binding has shown that the device's clock is ahead, and no code
since that it is not any more (§6). A code is accepted once, in whichever run: its time step is stored by a compare-and-set,
and neither it nor an earlier one is accepted again. Only the very same request,
repeated after a crash, may use it again.

	prompt  OTP_REQUIRED   {"digits": 6, "period": 30}
	answer  {"code": "123456"}

	with    digits: how many digits the codes have that are asked for, 6 to 8; default 6
	        period: how long the app shows a code, as the prompt says; default 30s. What
	                counts is the period that the authenticator was bound with

An unknown account, a missing and a disabled authenticator get the same work and
the same answer as a wrong code. After 20 consecutive failures the authenticator
stays locked until an administrator acts (SP 800-63B-4 §3.2.2).

An authenticator with codes of another length does not count.

It proves one factor, possession, replay-resistant. It has no exits.
`

const hardLimit = 20

// Type returns the step type. The sealer is the one that sealed the seeds.
func Type(as onetime.Authenticators, sealer account.Sealer) flows.StepType {
	return flows.StepType{
		Name:          "totp",
		Doc:           doc,
		Code:          "OTP_REQUIRED",
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Evidence:      onetime.Ceilings(assurance.TOTP),
		Authenticator: account.TypeTOTP,
		Guessable:     true,
		Typed:         true,
		HardLimit:     hardLimit,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Digits: 6, Period: 30 * time.Second}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if c.Digits < 6 || c.Digits > 8 {
				return nil, fmt.Errorf("digits: %d is not between 6 and 8", c.Digits)
			}
			if c.Period < 15*time.Second || c.Period > 2*time.Minute || c.Period%time.Second != 0 {
				return nil, fmt.Errorf("period: %s is no number of seconds between 15s and 2m", c.Period)
			}
			decoy, err := newDecoy(sealer, c.Digits)
			if err != nil {
				return nil, err
			}
			return &step{as, sealer, c, decoy}, nil
		},
	}
}

type config struct {
	Digits int           `yaml:"digits,optional" minimum:"6" maximum:"8" doc:"Digits of the codes that are asked for, 6 to 8; default 6."`
	Period time.Duration `yaml:"period,optional" doc:"How long the app shows a code, whole seconds from 15s to 2m; default 30s."`
}

type answer struct {
	Code string `json:"code" pattern:"^[0-9]{6,8}$"`
}

type prompt struct {
	Digits int `json:"digits" doc:"Length of the code."`
	Period int `json:"period" doc:"Seconds that a code is shown."`
}

type step struct {
	accounts onetime.Authenticators
	sealer   account.Sealer
	cfg      config
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
	a.Data, err = json.Marshal(account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: digits, Period: 30})
	return a, err
}

// Enter asks for the code.
func (s *step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: prompt{s.cfg.Digits, int(s.cfg.Period / time.Second)}}), nil
}

// Answer uses the code up.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if len(a.Code) != s.cfg.Digits || strings.Trim(a.Code, "0123456789") != "" {
		return flows.Outcome{}, fmt.Errorf("%w: a code has %d digits", flows.ErrMalformed, s.cfg.Digits)
	}
	found, err := onetime.Take(ctx, s.accounts, v, s.decoy, func(au *account.Authenticator) error {
		return account.UseTOTP(au, s.sealer, v.Now, a.Code, v.Owner())
	})
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUsed):
		return flows.Reject("replayed", nil), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("one-time code: %w", err)
	}
	return flows.Pass(flows.Proof{Evidence: onetime.Evidence(assurance.TOTP, found)}), nil
}
