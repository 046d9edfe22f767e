// Package recoverycode is the step "recovery_code": one of the codes that the person was told to keep.
package recoverycode

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

const doc = `Asks for one of the recovery codes that the person was told to keep.

They come from recovery_code_setup. Each is good once, in whichever run; only the
very same request, repeated after a crash, may use it again. Capitals, spaces and
hyphens make no difference.

	prompt  RECOVERY_CODE_REQUIRED   {}
	answer  {"code": "ABCD-EFGH-IJKL-MNOP"}

Only the set that was made last counts. An unknown account, one without codes and
one whose set was removed get the same work and the same answer as a wrong code.
After 20 consecutive failures the set stays locked until an administrator acts.

It proves one factor, possession of a look-up secret (SP 800-63B-4 §3.1.2),
replay-resistant, and never more than aal1: a recovery is not a way around what
guards the account otherwise. Tokens say otp and urn:stile-auth:amr:recovery in
amr. It takes no configuration and has no exits.
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

// Type returns the step type. The key, of 32 bytes, is the one of recovery_code_setup.
func Type(as Authenticators, key []byte) flows.StepType {
	return flows.StepType{
		Name:   "recovery_code",
		Doc:    doc,
		Code:   "RECOVERY_CODE_REQUIRED",
		Prompt: flowdefs.SchemaFor[struct{}](),
		Input:  flowdefs.SchemaFor[answer](),
		Typed:  true,
		Evidence: []assurance.Ceiling{{
			Method:          assurance.Recovery,
			Categories:      []assurance.Category{assurance.Possession},
			ReplayResistant: true,
			Cap:             assurance.AAL1,
		}},
		Authenticator: account.TypeRecovery,
		Alters:        true,
		Guessable:     true,
		Notice:        flows.NoticeRecovery,
		HardLimit:     hardLimit,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			if err := cfg.Decode(&struct{}{}); err != nil {
				return nil, err
			}
			if len(key) < 32 {
				return nil, errors.New("recovery_code: the key has not 32 bytes")
			}
			decoy, err := newDecoy(key)
			if err != nil {
				return nil, err
			}
			return &step{as, key, decoy}, nil
		},
	}
}

type answer struct {
	Code string `json:"code" minLength:"16" maxLength:"64"`
}

type step struct {
	accounts Authenticators
	key      []byte
	decoy    account.Authenticator // what unknown accounts are measured against
}

// newDecoy makes a set that nobody has: the work of reading it is real.
func newDecoy(key []byte) (account.Authenticator, error) {
	a := account.Authenticator{ID: "decoy", Type: account.TypeRecovery, Status: account.Active}
	d, err := account.NewRecoveryData(key, a.Subject, a.ID, account.NewRecoveryCodes())
	if err != nil {
		return a, err
	}
	a.Data, err = json.Marshal(d)
	return a, err
}

// Enter asks for a code.
func (s *step) Enter(context.Context, *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{}), nil
}

// Answer uses the code up.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	code, err := account.ParseRecoveryCode(a.Code)
	if err != nil || len(a.Code) > 64 {
		return flows.Outcome{}, fmt.Errorf("%w: a code has 16 letters and digits", flows.ErrMalformed)
	}
	found, err := s.use(ctx, v, code)
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUsed):
		return flows.Reject("replayed", nil), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("recovery code: %w", err)
	}
	return flows.Pass(flows.Proof{Evidence: evidence(found)}), nil
}

// use takes the code from the account's set. One that is wrong is found out on a
// copy, so that it costs no transaction, which would tell known accounts from
// unknown ones.
func (s *step) use(ctx context.Context, v *flows.Visit, code string) (account.Authenticator, error) {
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return account.Authenticator{}, err
	}
	take := func(a *account.Authenticator) error {
		return account.UseRecoveryCode(a, s.key, v.Now, code, v.Owner())
	}
	set, err := account.LastRecoverySet(all)
	if v.Claimed == "" || errors.Is(err, account.ErrNotFound) {
		decoy, _ := account.LastRecoverySet([]account.Authenticator{s.decoy})
		_ = take(&decoy) // for the work alone
		return account.Authenticator{}, account.ErrWrong
	}
	if err != nil {
		return account.Authenticator{}, err
	}
	attempt := set
	if err := take(&attempt); err != nil {
		return account.Authenticator{}, err
	}
	return set, s.accounts.UpdateAuthenticator(ctx, set.ID, take)
}

func evidence(a account.Authenticator) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method:          assurance.Recovery,
		Authenticator:   a.ID,
		Categories:      []assurance.Category{assurance.Possession},
		ReplayResistant: true,
		Binding:         binding,
		Cap:             assurance.AAL1,
	}
}
