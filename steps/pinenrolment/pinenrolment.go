// Package pinenrolment is the step "pin_enrolment": the account's owner chooses a PIN for a phone.
package pinenrolment

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Sets a PIN that the server verifies, for the phone that the run is on.

Somebody must have proved to be there, and the run must have a DPoP key: a run
without either fails. The PIN is good on this phone alone, once the phone is bound.

	prompt  PIN_ENROLMENT_REQUIRED   {"minLength": 6, "maxLength": 12, "refused": "pin.date"}
	answer  {"pin": "83710426"}

A PIN that is easy to guess is not taken, and refused is the id of the message that
says why: pin.form, pin.sequence, pin.date, pin.personal (the end of the person's
own telephone number or login). A PIN that the phone
had before is good until the run is completed, and then no more.

Enrolling proves nothing in this run, and the level that the run has now caps the
PIN for ever (SP 800-63B-4 §4.1.2). Under eight digits it earns nothing towards a
level. The step takes no configuration and has no exits.
`

// ErrNobody reports a run on which no PIN can be set: without a subject or without a DPoP key.
var ErrNobody = errors.New("pinenrolment: the run has no subject or no DPoP key")

// Authenticators keeps the PINs of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
}

// Accounts finds accounts; the stores' repositories of accounts do. Safe for concurrent use.
type Accounts interface {
	Account(ctx context.Context, subject string) (account.Account, error)
}

// Hasher makes hashes; [account.Hasher] is one.
type Hasher interface {
	Hash(ctx context.Context, secret string) (string, error)
}

// Type returns the step type.
func Type(as Authenticators, accounts Accounts, h Hasher) flows.StepType {
	return flows.StepType{
		Name:   "pin_enrolment",
		Doc:    doc,
		Code:   "PIN_ENROLMENT_REQUIRED",
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Typed:  true,
		Enrols: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			if err := cfg.Decode(&struct{}{}); err != nil {
				return nil, err
			}
			return &step{as, accounts, h}, nil
		},
	}
}

type answer struct {
	PIN string `json:"pin" format:"password" pattern:"^[0-9]{6,12}$"`
}

type prompt struct {
	MinLength int    `json:"minLength" doc:"Least number of digits."`
	MaxLength int    `json:"maxLength" doc:"Greatest number of digits."`
	Refused   string `json:"refused,omitempty" doc:"Id of the message that says why the last one was refused."`
}

type step struct {
	authenticators Authenticators
	accounts       Accounts
	hasher         Hasher
}

// Enter asks for a PIN.
func (s *step) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" || v.Key == "" {
		return flows.Outcome{}, ErrNobody
	}
	return flows.Ask(ask("")), nil
}

func ask(refused string) flows.Prompt {
	return flows.Prompt{Data: prompt{account.MinPIN, account.MaxPIN, refused}}
}

// Answer sets the PIN.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if v.Subject == "" || v.Key == "" {
		return flows.Outcome{}, ErrNobody
	}
	personal, err := s.personal(ctx, v.Subject)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("pinenrolment: %w", err)
	}
	var unfit account.UnfitPINError
	switch err := account.CheckPIN(a.PIN, personal...); {
	case errors.As(err, &unfit) && unfit == account.PINForm:
		return flows.Outcome{}, fmt.Errorf("%w: a PIN has %d to %d digits", flows.ErrMalformed, account.MinPIN, account.MaxPIN)
	case errors.As(err, &unfit):
		again := ask("pin." + string(unfit))
		return flows.Reject(string(unfit), &again), nil
	case err != nil:
		return flows.Outcome{}, err
	}
	id := idOf(v)
	if err := s.bind(ctx, v, id, a.PIN); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Enrolled(id), nil
}

// personal are the numbers that others may know of the person.
func (s *step) personal(ctx context.Context, subject string) ([]string, error) {
	var out []string
	if s.accounts != nil {
		a, err := s.accounts.Account(ctx, subject)
		if err != nil {
			return nil, err
		}
		out = append(out, a.Logins...)
	}
	all, err := s.authenticators.Authenticators(ctx, subject)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		var d account.PhoneData
		if a.Type == account.TypePhone && json.Unmarshal(a.Data, &d) == nil {
			out = append(out, d.Number)
		}
	}
	return out, nil
}

// idOf names the authenticator of this very answer, also when it comes again.
func idOf(v *flows.Visit) string {
	sum := sha256.Sum256([]byte("pin\x00" + v.Owner()))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// bind adds the authenticator, or finds that this answer has added it before, of
// which the run knows nothing.
func (s *step) bind(ctx context.Context, v *flows.Visit, id, pin string) error {
	hash, err := s.hasher.Hash(ctx, pin)
	if errors.Is(err, account.ErrBusy) {
		return fmt.Errorf("%w: pinenrolment: %w", flows.ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("pinenrolment: %w", err)
	}
	data, err := json.Marshal(account.PINData{Hash: hash, Digits: len(pin)})
	if err != nil {
		return err
	}
	err = s.authenticators.AddAuthenticator(ctx, account.Authenticator{
		ID: id, Subject: v.Subject, Type: account.TypePIN, Status: account.Pending,
		Binding: v.Level.String(), Key: v.Key, Data: data, Created: v.Now.UTC(),
	})
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	mine, err := s.authenticators.Authenticators(ctx, v.Subject)
	if err != nil {
		return err
	}
	for _, a := range mine {
		if a.ID == id && a.Type == account.TypePIN && a.Key == v.Key && a.Status != account.Disabled {
			return nil
		}
	}
	return account.ErrExists
}
