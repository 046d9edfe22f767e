// Package recoverycodesetup is the step "recovery_code_setup": it tells the person codes to keep.
package recoverycodesetup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Tells the person ten recovery codes to keep.

They are new for each visit and shown until it is over, never again. The person
types any one of them to show that they were kept; that one stays good. Somebody
must have proved to be there: a run in which nobody has fails.

	prompt  RECOVERY_CODE_SETUP_REQUIRED   {"codes": ["ABCD-EFGH-IJKL-MNOP", ...]}
	answer  {"code": "ABCD-EFGH-IJKL-MNOP"}

Each has 80 random bits and is kept as a keyed hash. A new set replaces the one
before it when it becomes active: until then, and if the step is given up, the old
codes are good. A wrong code changes nothing.

The level that the run has now caps the codes for ever, and so does aal1. Setting
up proves nothing in this run. It takes no configuration and has no exits.
`

// ErrNobody reports a run in which nobody has proved to be there.
var ErrNobody = errors.New("recoverycodesetup: the run has no subject")

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
}

// Type returns the step type. The key, of 32 bytes, keys the hashes of the codes.
func Type(as Authenticators, key []byte) flows.StepType {
	return flows.StepType{
		Name:   "recovery_code_setup",
		Doc:    doc,
		Code:   "RECOVERY_CODE_SETUP_REQUIRED",
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Enrols: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			if err := cfg.Decode(&struct{}{}); err != nil {
				return nil, err
			}
			if len(key) < 32 {
				return nil, errors.New("recovery_code_setup: the key has not 32 bytes")
			}
			return &step{as, key}, nil
		},
	}
}

type answer struct {
	Code string `json:"code" minLength:"16" maxLength:"64"`
}

type prompt struct {
	Codes []string `json:"codes" doc:"The codes; secrets, to be kept by the person."`
}

type step struct {
	accounts Authenticators
	key      []byte
}

// set is what the run keeps of the codes: enough to recognise them, not to say them.
type set struct {
	ID   string               `json:"id"`
	Data account.RecoveryData `json:"data"`
}

// Enter shows new codes; those that were shown before are void.
func (s *step) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	codes, id := account.NewRecoveryCodes(), rand.Text()
	data, err := account.NewRecoveryData(s.key, v.Subject, id, codes)
	if err != nil {
		return flows.Outcome{}, err
	}
	if err := v.Keep(set{id, data}); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(flows.Prompt{Data: prompt{codes}}), nil
}

// Answer binds the set if the code is one of it.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	code, err := account.ParseRecoveryCode(a.Code)
	if err != nil || len(a.Code) > 64 {
		return flows.Outcome{}, fmt.Errorf("%w: a code has 16 letters and digits", flows.ErrMalformed)
	}
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	var kept set
	if err := v.Kept(&kept); err != nil {
		return flows.Outcome{}, fmt.Errorf("recoverycodesetup: codes: %w", err)
	}
	if _, err := kept.Data.Find(s.key, v.Subject, kept.ID, code); err != nil {
		return flows.Reject("wrong", nil), nil //nolint:nilerr // it is a wrong one
	}
	if err := s.bind(ctx, v, kept); err != nil {
		return flows.Outcome{}, fmt.Errorf("recoverycodesetup: %w", err)
	}
	return flows.Enrolled(kept.ID), nil
}

// bind adds the set, or finds that a try before has added it, of which the run knows nothing.
func (s *step) bind(ctx context.Context, v *flows.Visit, kept set) error {
	mine, err := s.accounts.Authenticators(ctx, v.Subject)
	if err != nil {
		return err
	}
	if kept.Data.Number, err = account.NextRecoveryNumber(mine); err != nil {
		return err
	}
	data, err := json.Marshal(kept.Data)
	if err != nil {
		return err
	}
	err = s.accounts.AddAuthenticator(ctx, account.Authenticator{
		ID: kept.ID, Subject: v.Subject, Type: account.TypeRecovery, Status: account.Pending,
		Binding: v.Level.String(), Data: data, Created: v.Now.UTC(),
	})
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	if mine, err = s.accounts.Authenticators(ctx, v.Subject); err != nil {
		return err
	}
	for _, a := range mine {
		if a.ID == kept.ID && a.Type == account.TypeRecovery && a.Status != account.Disabled {
			return nil
		}
	}
	return account.ErrExists
}
