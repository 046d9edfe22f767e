// Package activationcode is the step "activation_code": a code that an administrator issued.
package activationcode

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

const doc = `Asks for a code that came by letter, or at a branch: how a first phone gets in.

An administrator issues the codes (stile users activation-code) and says by which
way each goes to the person, how long it is good, and how sure they are of who gets
it. Each is good once, in whichever run; only the very same request, repeated after
a crash, may use it again. Capitals, spaces and hyphens make no difference, and O, I
and L are read as the digits that they look like.

	prompt  ACTIVATION_CODE_REQUIRED   {"codes": 1}
	answer  {"code": "7K3P-Q8ZD-1VHN-M5RT"}
	        {"code": "7K3P-...", "second": "0WJ2-..."}   where codes is 2

	with    codes: 1 (default), or 2 that went to the person by different ways: a letter
	               that was stolen is then not enough

An unknown account, one without codes, a code that has expired or was withdrawn, and
two codes that went the same way get the same work and the same answer as a wrong
code; of two, neither is used then. After 20 consecutive failures the codes stay
locked until an administrator acts.

It proves one factor, possession, replay-resistant, worth what the administrator
said, with two codes the lower of what was said, and never more than aal2. Tokens say
otp and urn:stile-auth:amr:activation in amr. It has no exits.
`

const hardLimit = 20

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Type returns the step type. The key, of 32 bytes, is the one that codes are issued with.
func Type(as Authenticators, key []byte) flows.StepType {
	return flows.StepType{
		Name:   "activation_code",
		Doc:    doc,
		Code:   "ACTIVATION_CODE_REQUIRED",
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Typed:  true,
		Evidence: []assurance.Ceiling{{
			Method:          assurance.Activation,
			Categories:      []assurance.Category{assurance.Possession},
			ReplayResistant: true,
			Cap:             assurance.AAL2,
		}},
		Authenticator: account.TypeActivation,
		Alters:        true,
		Guessable:     true,
		HardLimit:     hardLimit,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Codes: 1}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if c.Codes != 1 && c.Codes != 2 {
				return nil, fmt.Errorf("codes: %d is neither 1 nor 2", c.Codes)
			}
			if len(key) < 32 {
				return nil, errors.New("activation_code: the key has not 32 bytes")
			}
			decoy, err := newDecoy(key)
			if err != nil {
				return nil, err
			}
			return &step{as, key, c.Codes, decoy}, nil
		},
	}
}

type config struct {
	Codes int `yaml:"codes,optional" minimum:"1" maximum:"2" doc:"How many codes are asked for, that came by different ways; default 1."`
}

type answer struct {
	Code   string `json:"code" minLength:"16" maxLength:"64"`
	Second string `json:"second,omitempty" minLength:"16" maxLength:"64"`
}

type prompt struct {
	Codes int `json:"codes" doc:"How many codes are asked for, 1 or 2."`
}

type step struct {
	accounts Authenticators
	key      []byte
	codes    int
	decoy    account.Authenticator // what unknown accounts are measured against
}

// newDecoy makes a code that nobody has: the work of reading it is real.
func newDecoy(key []byte) (account.Authenticator, error) {
	a := account.Authenticator{ID: "decoy", Type: account.TypeActivation, Status: account.Active}
	d, err := account.NewActivationData(key, a.Subject, a.ID, account.NewActivationCode())
	if err != nil {
		return a, err
	}
	a.Data, err = json.Marshal(d)
	return a, err
}

// Enter asks for the code.
func (s *step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: prompt{s.codes}}), nil
}

// Answer uses the codes up.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	codes, err := s.read(in)
	if err != nil {
		return flows.Outcome{}, err
	}
	found, err := s.use(ctx, v, codes)
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUsed):
		return flows.Reject("replayed", nil), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("activation code: %w", err)
	}
	return flows.Pass(flows.Proof{Evidence: evidence(found)}), nil
}

func (s *step) read(in flows.Input) ([]string, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return nil, err
	}
	texts := []string{a.Code}
	if a.Second != "" {
		texts = append(texts, a.Second)
	}
	if len(texts) != s.codes {
		return nil, fmt.Errorf("%w: expected %d codes", flows.ErrMalformed, s.codes)
	}
	codes := make([]string, len(texts))
	for i, text := range texts {
		var err error
		if codes[i], err = account.ParseActivationCode(text); err != nil || len(text) > 64 {
			return nil, fmt.Errorf("%w: a code has 16 letters and digits", flows.ErrMalformed)
		}
	}
	return codes, nil
}

// use finds whose codes these are and takes them. What is wrong is found out on
// copies, so that it costs no transaction, which would tell known accounts from
// unknown ones, and so that of two codes none is used for nothing.
func (s *step) use(ctx context.Context, v *flows.Visit, codes []string) ([]account.Authenticator, error) {
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a account.Authenticator) bool {
		return v.Claimed == "" || a.Type != account.TypeActivation
	})
	found, errs := make([]account.Authenticator, len(codes)), make([]error, len(codes))
	for i, code := range codes { // all of them, so that time does not tell which one is wrong
		found[i], errs[i] = s.find(v, all, code)
	}
	if err := cmp.Or(errs...); err != nil {
		return nil, err
	}
	if err := differ(found); err != nil {
		return nil, err
	}
	for i, a := range found {
		if err := s.accounts.UpdateAuthenticator(ctx, a.ID, s.taker(v, codes[i])); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *step) taker(v *flows.Visit, code string) func(*account.Authenticator) error {
	return func(a *account.Authenticator) error {
		return account.UseActivationCode(a, s.key, v.Now, code, v.Owner())
	}
}

// find returns whose code it is. A decoy is measured where there is none.
func (s *step) find(v *flows.Visit, all []account.Authenticator, code string) (account.Authenticator, error) {
	if len(all) == 0 {
		decoy := s.decoy
		_ = s.taker(v, code)(&decoy) // for the work alone
	}
	result := account.ErrWrong
	for _, a := range all {
		attempt := a
		switch err := s.taker(v, code)(&attempt); {
		case err == nil:
			return a, nil
		case errors.Is(err, account.ErrUsed):
			result = err
		case !errors.Is(err, account.ErrWrong):
			return account.Authenticator{}, err
		}
	}
	return account.Authenticator{}, result
}

// differ says whether codes went to the person by different ways: one that was
// typed twice, or two out of one letter, are one.
func differ(found []account.Authenticator) error {
	seen := map[string]bool{}
	for _, a := range found {
		channel, err := account.ActivationChannel(a)
		if err != nil {
			return err
		}
		if seen[channel] {
			return account.ErrWrong
		}
		seen[channel] = true
	}
	return nil
}

// evidence is worth the least that was said of any of the codes.
func evidence(found []account.Authenticator) assurance.Evidence {
	level := func(a account.Authenticator) assurance.Level {
		l, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
		return l
	}
	least := slices.MinFunc(found, func(a, b account.Authenticator) int { return cmp.Compare(level(a), level(b)) })
	return assurance.Evidence{
		Method:          assurance.Activation,
		Authenticator:   found[0].ID,
		Categories:      []assurance.Category{assurance.Possession},
		ReplayResistant: true,
		Binding:         level(least),
		Cap:             assurance.AAL2,
	}
}
