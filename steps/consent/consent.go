// Package consent is the step "consent": what an app may have of the person.
package consent

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Asks the person whether the app may have what it asks for.

The account remembers what each app was given, and when. Who has given an app all of
this is not asked again; when more is asked for, the prompt says what is new. What was
given can be taken back (stile users revoke): the app is asked about again in the next
run, and its refresh tokens are not traded any more.
Somebody must have proved to be there.

	prompt  CONSENT_REQUIRED
	        {"client": "bank-app", "scopes": ["accounts"], "claims": ["branch"], "new": ["accounts"]}
	answer  {"accept": true}

	with    scopes: what the app may do, at least one name
	        claims: what it is told of the person; optional

	exits   denied: the person does not agree

It proves nothing. It mostly stands in a flow of the kind authorization.

Scenarios: ok, denied.
`

const exitDenied = "denied"

// Agreements keeps what people have agreed to. Safe for concurrent use.
type Agreements interface {
	// Agreements returns what an account has agreed to; none is no error.
	Agreements(ctx context.Context, subject string) ([]account.Agreement, error)
	// Agree stores an agreement in the place of one of the same kind and name.
	Agree(ctx context.Context, a account.Agreement) error
}

// Type returns the step type. Without agreements its steps are unavailable.
func Type(as Agreements) flows.StepType {
	return flows.StepType{
		Name:   "consent",
		Doc:    doc,
		Code:   "CONSENT_REQUIRED",
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Exits:  []string{exitDenied},
		Typed:  true,

		NeedsSubject: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			var c config
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := c.check(); err != nil {
				return nil, fmt.Errorf("consent: %w", err)
			}
			return &step{c, as}, nil
		},
	}
}

// nameForm is a scope of RFC 6749 §3.3, as far as it is safe to show, and no
// colon: see config.asked.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

const maxName = 128 // bytes

type config struct {
	Scopes []string `yaml:"scopes" doc:"What the app may do."`
	Claims []string `yaml:"claims,optional" doc:"What it is told of the person."`
}

func (c config) check() error {
	if len(c.Scopes) == 0 {
		return errors.New("scopes is empty")
	}
	for _, names := range [][]string{c.Scopes, c.Claims} {
		for i, name := range names {
			if len(name) > maxName || !nameForm.MatchString(name) || slices.Contains(names[:i], name) {
				return fmt.Errorf("%q stands there twice, or is none of letters, digits and ._/-", name)
			}
		}
	}
	return nil
}

// asked is what is asked for, as it is kept: a claim never looks like a scope.
func (c config) asked() []string {
	all := slices.Clone(c.Scopes)
	for _, claim := range c.Claims {
		all = append(all, "claim:"+claim)
	}
	slices.Sort(all)
	return all
}

type answer struct {
	Accept bool `json:"accept"`
}

type prompt struct {
	Client string   `json:"client" doc:"Id of the app that asks."`
	Scopes []string `json:"scopes" doc:"What it may do."`
	Claims []string `json:"claims" doc:"What it is told of the person."`
	New    []string `json:"new" doc:"What of that it was not given before; claims are written claim:NAME."`
}

type step struct {
	cfg      config
	accounts Agreements
}

// Enter asks who has not given all of this yet.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	more, err := s.more(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	if len(more) == 0 {
		return flows.Done(), nil
	}
	claims := append([]string{}, s.cfg.Claims...)
	return flows.Ask(flows.Prompt{Data: prompt{v.Client.ID, s.cfg.Scopes, claims, more}}), nil
}

// Keeps holds the app to what it has been given: a consent that was taken back ends what rests on it.
func (s *step) Keeps(ctx context.Context, v *flows.Visit) error {
	more, err := s.more(ctx, v)
	if err == nil && len(more) > 0 {
		err = flows.ErrWithdrawn
	}
	return err
}

// more is what is asked for and was not given yet.
func (s *step) more(ctx context.Context, v *flows.Visit) ([]string, error) {
	before, err := s.before(ctx, v)
	return slices.DeleteFunc(s.cfg.asked(), func(name string) bool { return slices.Contains(before, name) }), err
}

// before is what the app was given before.
func (s *step) before(ctx context.Context, v *flows.Visit) ([]string, error) {
	switch {
	case v.Subject == "" || v.Client.ID == "":
		return nil, errors.New("consent: the run has no subject or no client")
	case s.accounts == nil:
		return nil, fmt.Errorf("%w: consent: no agreements", flows.ErrUnavailable)
	}
	all, err := s.accounts.Agreements(ctx, v.Subject)
	if err != nil {
		return nil, fmt.Errorf("%w: consent: %w", flows.ErrUnavailable, err)
	}
	given, _ := account.FindAgreement(all, account.Consent, v.Client.ID)
	return given.Scopes, nil
}

// Answer adds what was asked for to what the app was given before.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	before, err := s.before(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	if !a.Accept {
		return flows.Exit(exitDenied), nil
	}
	scopes := append(s.cfg.asked(), before...)
	slices.Sort(scopes)
	given := account.Agreement{
		Subject: v.Subject, Kind: account.Consent, Name: v.Client.ID, Scopes: slices.Compact(scopes), Given: v.Now.UTC(),
	}
	if err := s.accounts.Agree(ctx, given); err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: consent: %w", flows.ErrUnavailable, err)
	}
	return flows.Done(), nil
}
