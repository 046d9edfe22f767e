// Package passwordchange is the step "password_change": the account's owner sets a new password.
package passwordchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Asks for a new password, and for the one that it replaces.

For an account without a password it sets the first one. Somebody must have proved
to be there: a run in which nobody has fails.

	prompt  PASSWORD_CHANGE_REQUIRED
	        {"currentRequired": true, "minLength": 15, "maxBytes": 256, "refused": "password.common"}
	answer  {"current": "...", "new": "..."}

	with    min_length: characters, 8 to 64; default 15. SP 800-63B-4 §3.1.1.2 allows
	        8 only where the password is one of several factors.
	        history: how many passwords before the current one cannot be set
	        again, 0 to 24; default 5
	        current: whether the current password is asked for; default true. Say
	        false in a recovery, and behind a step that has just verified it.

A password may be any text; there are no rules of composition. refused is the id of
a message that says why the last one was not taken: password.too_short, too_long,
not_text, common (guessers try it first, or it was found in a breach), contextual
(the person's or the service's name with little beside it), unchanged, used_before.
What is refused by its form counts as no attempt. A wrong current password, and a
new one that was used before, do: they say something of what is stored.

Where the current password was not asked for and the run has reached less than the
level at which it was bound, the new one is bound at the run's level. A mail tells
the account's owner, where there is an address. Setting a password proves nothing in
this run. To settle the obligation that the step password raises, write
settles: [password_change].
`

// ErrNobody reports a run in which nobody has proved to be there.
var ErrNobody = errors.New("passwordchange: the run has no subject")

// Accounts finds accounts. Safe for concurrent use.
type Accounts interface {
	// Account returns the account of that subject; [account.ErrNotFound].
	Account(ctx context.Context, subject string) (account.Account, error)
}

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Hasher makes and verifies hashes; [account.Hasher] is one. A wrong secret is [account.ErrWrong].
type Hasher interface {
	Hash(ctx context.Context, secret string) (string, error)
	Verify(ctx context.Context, hash, secret string) error
	// VerifyDummy does the work of Verify for a password that is not there, and never succeeds.
	VerifyDummy(ctx context.Context, secret string) error
}

// Config is what the step type needs. Without accounts its steps are unavailable.
type Config struct {
	Accounts       Accounts
	Authenticators Authenticators
	Hasher         Hasher
	Rules          account.PasswordRules // but for the length, which the step's configuration says
}

// Type returns the step type.
func Type(deps Config) flows.StepType {
	return flows.StepType{
		Name:          "password_change",
		Doc:           doc,
		Code:          "PASSWORD_CHANGE_REQUIRED",
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Authenticator: account.TypePassword,
		Guessable:     true,
		Typed:         true,
		Enrols:        true,
		EndsSessions:  true,
		NeedsSubject:  true,
		Notice:        flows.NoticePassword,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{MinLength: account.MinPasswordAlone, History: defaultHistory, Current: true}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if c.MinLength < account.MinPassword || c.MinLength > mostLength {
				return nil, fmt.Errorf("min_length: %d is not between %d and %d", c.MinLength, account.MinPassword, mostLength)
			}
			if c.History < 0 || c.History > mostHistory {
				return nil, fmt.Errorf("history: %d is not between 0 and %d", c.History, mostHistory)
			}
			s := &step{Config: deps, cfg: c}
			s.Rules.Min = c.MinLength
			return s, nil
		},
	}
}

const (
	mostLength     = 64 // SP 800-63B-4 §3.1.1.2: at least that much has to be allowed
	defaultHistory = 5
	mostHistory    = 24
)

type config struct {
	MinLength int  `yaml:"min_length,optional" minimum:"8" maximum:"64" doc:"Least number of characters, 8 to 64; default 15."`
	History   int  `yaml:"history,optional" minimum:"0" maximum:"24" doc:"How many passwords before the current one cannot be set again; default 5."`
	Current   bool `yaml:"current,optional" doc:"Whether the current password is asked for; default true."`
}

type answer struct {
	Current string `json:"current,omitempty" format:"password" maxLength:"1024" doc:"only where currentRequired"`
	New     string `json:"new" format:"password" minLength:"1" maxLength:"1024"`
}

type prompt struct {
	CurrentRequired bool   `json:"currentRequired" doc:"Whether the answer has to hold the current password."`
	MinLength       int    `json:"minLength" doc:"Least number of characters."`
	MaxBytes        int    `json:"maxBytes" doc:"Greatest number of bytes, in UTF-8."`
	Refused         string `json:"refused,omitempty" doc:"Id of the message that says why the last one was refused."`
}

type step struct {
	Config
	cfg config
}

// Enter asks for the password. Whether the current one is asked for is kept.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	if s.Accounts == nil {
		return flows.Outcome{}, fmt.Errorf("%w: no accounts", flows.ErrUnavailable)
	}
	p := prompt{MinLength: s.cfg.MinLength, MaxBytes: account.MaxPassword}
	if s.cfg.Current {
		all, err := s.Authenticators.Authenticators(ctx, v.Subject)
		if err != nil {
			return flows.Outcome{}, fmt.Errorf("passwordchange: %w", err)
		}
		_, p.CurrentRequired = active(all)
	}
	if err := v.Keep(p); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(flows.Prompt{Data: p}), nil
}

// active returns the account's password that is in use.
func active(all []account.Authenticator) (account.Authenticator, bool) {
	for _, a := range all {
		if a.Type == account.TypePassword && a.Status == account.Active {
			return a, true
		}
	}
	return account.Authenticator{}, false
}

// Answer sets the new password.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	var asked prompt
	if err := v.Kept(&asked); err != nil {
		return flows.Outcome{}, fmt.Errorf("passwordchange: %w", err)
	}
	if asked.CurrentRequired != (a.Current != "") || a.New == "" {
		return flows.Outcome{}, fmt.Errorf("%w: currentRequired is %t", flows.ErrMalformed, asked.CurrentRequired)
	}
	if v.Subject == "" { // the authenticator is locked: the work of a check, for nobody
		if err := s.Hasher.VerifyDummy(ctx, a.Current+a.New); !errors.Is(err, account.ErrWrong) && !errors.Is(err, account.ErrUnfit) {
			return flows.Outcome{}, busy(err)
		}
		return flows.Reject("wrong", nil), nil
	}
	id, err := s.set(ctx, v, a)
	reason, unfit := account.ReasonOf(err)
	asked.Refused = "password." + string(reason)
	switch again := (flows.Prompt{Data: asked}); {
	case unfit && (reason == account.UsedBefore || reason == account.Unchanged):
		return flows.Reject(string(reason), &again), nil
	case unfit:
		return flows.Ask(again), nil
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUnfit): // what is no secret at all
		return flows.Outcome{}, fmt.Errorf("%w: password", flows.ErrMalformed)
	case err != nil:
		return flows.Outcome{}, busy(err)
	}
	return flows.Enrolled(id), nil
}

// busy keeps the class of a failure: only a hasher without a free turn is an
// outage of ours; what a store says of itself stays as it is.
func busy(err error) error {
	if errors.Is(err, account.ErrBusy) {
		return fmt.Errorf("%w: passwordchange: %w", flows.ErrUnavailable, err)
	}
	return fmt.Errorf("passwordchange: %w", err)
}
