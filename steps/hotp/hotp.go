// Package hotp is the step "hotp": a one-time code of a token with a button (RFC 4226).
package hotp

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
	"github.com/stile-auth/stile/steps/onetime"
)

const doc = `Asks for a one-time code of a token with a button (RFC 4226).

The token counts how often it was pressed. The next ten codes after the last one
that was accepted are good (§7.2). Accepting one ends all before it: the counter
goes up, by a compare-and-set, and never down. Only the very same request,
repeated after a crash, may use its code again. A token that was pressed too often
is brought back by two codes in a row, up to a hundred ahead (§7.4).

	prompt  HOTP_REQUIRED   {"digits": 6}
	answer  {"code": "123456"}
	        {"code": "123456", "next": "654321"}   two codes in a row

	with    digits: how many digits the codes have that are asked for, 6 to 8; default 6

An app that gets a wrong answer twice does well to ask for the code that the token
shows next as well. An unknown account, a missing and a disabled token get the same
work and the same answer as a wrong code. After 20 consecutive failures the token
stays locked until an administrator acts (SP 800-63B-4 §3.2.2).

It proves one factor, possession, replay-resistant. Tokens say otp in amr. It has no exits.
`

const hardLimit = 20

// Type returns the step type. The sealer is the one that sealed the seeds.
func Type(as onetime.Authenticators, sealer account.Sealer) flows.StepType {
	return flows.StepType{
		Name:          "hotp",
		Doc:           doc,
		Code:          "HOTP_REQUIRED",
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Evidence:      onetime.Ceilings(assurance.HOTP),
		Authenticator: account.TypeHOTP,
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
	Next string `json:"next,omitempty" pattern:"^[0-9]{6,8}$"`
}

type prompt struct {
	Digits int `json:"digits" doc:"Length of the code."`
}

type step struct {
	accounts onetime.Authenticators
	sealer   account.Sealer
	digits   int
	decoy    account.Authenticator // what unknown accounts are measured against
}

// newDecoy makes an authenticator that nobody has: the work of checking it is real.
func newDecoy(sealer account.Sealer, digits int) (account.Authenticator, error) {
	a := account.Authenticator{ID: "decoy", Type: account.TypeHOTP, Status: account.Active}
	seed, err := account.NewSeed(rand.Reader)
	if err != nil {
		return a, err
	}
	sealed, err := account.SealSeed(sealer, a.Subject, a.ID, seed)
	if err != nil {
		return a, fmt.Errorf("hotp: %w", err)
	}
	a.Data, err = json.Marshal(account.HOTPData{Seed: sealed, Digits: digits, Next: 1000})
	return a, err
}

// Enter asks for the code.
func (s *step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: prompt{s.digits}}), nil
}

// Answer uses the code up.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if !s.isCode(a.Code) || a.Next != "" && !s.isCode(a.Next) {
		return flows.Outcome{}, fmt.Errorf("%w: a code has %d digits", flows.ErrMalformed, s.digits)
	}
	found, err := onetime.Take(ctx, s.accounts, v, s.decoy, func(au *account.Authenticator) error {
		return account.UseHOTP(au, s.sealer, v.Now, account.HOTPCodes{Code: a.Code, Next: a.Next}, v.Owner())
	})
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUsed):
		return flows.Reject("replayed", nil), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("one-time code: %w", err)
	}
	return flows.Pass(flows.Proof{Evidence: onetime.Evidence(assurance.HOTP, found)}), nil
}

func (s *step) isCode(text string) bool {
	return len(text) == s.digits && strings.Trim(text, "0123456789") == ""
}
