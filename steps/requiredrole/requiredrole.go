// Package requiredrole is the step "required_role": only accounts that have a role go on.
package requiredrole

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Lets only accounts go on that have certain roles.

It never asks. The roles of an account are its attribute "roles": words with
commas between them. They are read when a run arrives, so that a role that was
taken away counts at once; nothing that the client says is looked at.

	with    roles: the roles, at least one
	        match: all (default): the account has every one of them; any: it has one

	exits   missing_role

Who has them goes on; anybody else leaves by missing_role, and so do an account
that is not active and a run in which nobody has been proved to be there. If the
accounts cannot be asked the step is unavailable: nobody gets past it.

It proves nothing. It mostly stands in a flow of the kind authorization.
`

const exitMissing = "missing_role"

// Accounts finds accounts; the stores' repositories of accounts do. Safe for
// concurrent use. What is not there is [account.ErrNotFound].
type Accounts interface {
	Account(ctx context.Context, subject string) (account.Account, error)
}

// Type returns the step type. Without accounts its steps are unavailable.
func Type(as Accounts) flows.StepType {
	return flows.StepType{
		Name:   "required_role",
		Doc:    doc,
		Config: flowdefs.SchemaFor[config](),
		Exits:  []string{exitMissing},

		NeedsSubject: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Match: "all"}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := c.check(); err != nil {
				return nil, fmt.Errorf("required_role: %w", err)
			}
			return &step{c, as}, nil
		},
	}
}

type config struct {
	Roles []string `yaml:"roles" doc:"The roles."`
	Match string   `yaml:"match,optional" enum:"all,any" doc:"Whether all of them are required, or any; default all."`
}

func (c config) check() error {
	if len(c.Roles) == 0 {
		return errors.New("roles is empty")
	}
	for i, r := range c.Roles {
		if r == "" || r != strings.TrimSpace(r) || strings.Contains(r, ",") {
			return fmt.Errorf("%q is no role: a role has no comma and no space around it", r)
		}
		if slices.Contains(c.Roles[:i], r) {
			return fmt.Errorf("role %q stands there twice", r)
		}
	}
	if c.Match != "all" && c.Match != "any" {
		return fmt.Errorf("match is all or any, not %q", c.Match)
	}
	return nil
}

type step struct {
	cfg      config
	accounts Accounts
}

// Enter decides.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Exit(exitMissing), nil
	}
	if s.accounts == nil {
		return flows.Outcome{}, fmt.Errorf("%w: required_role: no accounts", flows.ErrUnavailable)
	}
	a, err := s.accounts.Account(ctx, v.Subject)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return flows.Exit(exitMissing), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("%w: required_role: %w", flows.ErrUnavailable, err)
	case a.Status != account.Active || !s.cfg.met(a.Attributes):
		return flows.Exit(exitMissing), nil
	}
	return flows.Done(), nil
}

// met says whether an account with those roles goes on.
func (c config) met(attributes map[string]string) bool {
	has, count := flowdefs.Roles(attributes), 0
	for _, r := range c.Roles {
		if slices.Contains(has, r) {
			count++
		}
	}
	return count == len(c.Roles) || c.Match == "any" && count > 0
}

// Answer refuses: the step never asks.
func (s *step) Answer(context.Context, *flows.Visit, flows.Input) (flows.Outcome, error) {
	return flows.Outcome{}, errors.New("required_role: never asks")
}
