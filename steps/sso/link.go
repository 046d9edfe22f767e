package sso

import (
	"context"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient"
)

const linkDoc = `Links an identity at a remote provider to the account of whoever is there.

Somebody has proved to be there by what the account has; then they sign on at the
provider, and from the next run on they can enter that way. It is the only way, besides
a provider that is authoritative for the domain of an address, in which an identity
comes to an account that is there already: an address that looks the same is none.

	prompt  OAUTH2_CLIENT_AUTHORIZATION_REQUIRED, as that of the step sso
	answer  as that of the step sso

	with    provider: name of an entry of "providers"
	        prompt:   what the provider is asked to do: login, consent or
	                  select_account; default select_account

	exits   denied:      the provider or the person refuses
	        cancelled:   the person did not go through with it
	        taken:       the identity is or was linked to another account
	        unavailable: the provider cannot be used now

The request belongs to this run, as that of sso does: the answer to somebody else's
request is a wrong one, so that nobody gets an identity slipped in that is not theirs.

It needs what binding an authenticator needs: fresh evidence for the highest level that
the account can reach; less leaves by the exit insufficient. The link is never worth more
than the run that made it. The sign-on at the provider proves nothing in this run, and the
subject is who was there before. The account's owner is told. The identity is removed by
authenticator_removal; who is linked already is linked, and nothing happens.
`

// ErrNobody reports a run in which nobody has proved to be there.
var ErrNobody = errors.New("account_link: the run has no subject")

const exitTaken = "taken"

type linkConfig struct {
	Provider string `yaml:"provider" ref:"provider" doc:"Name of the provider."`
	Prompt   string `yaml:"prompt,optional" enum:"login,consent,select_account" doc:"What the provider is asked to do; select_account if absent."`
}

// LinkType returns the step type "account_link".
func LinkType(providers Providers, accounts Accounts) flows.StepType {
	return flows.StepType{
		Name:          "account_link",
		Doc:           linkDoc,
		Code:          "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED",
		Config:        flowdefs.SchemaFor[linkConfig](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Exits:         []string{exitDenied, exitCancelled, exitTaken},
		Authenticator: account.TypeIdentity,
		NeedsSubject:  true,
		Enrols:        true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := linkConfig{Prompt: "select_account"}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			return &step{cfg: config{Provider: c.Provider, Prompt: c.Prompt}, providers: providers, owners: owners{accounts}, links: true}, nil
		},
		Actor: actor,
	}
}

// errTaken reports an identity that is, or was, another account's.
var errTaken = errors.New("account_link: the identity is another account's")

// link ties the identity to whoever has proved to be there, and to nobody else.
func (s *step) link(ctx context.Context, v *flows.Visit, p Provider, id oidcclient.Identity) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	found, err := s.owner(ctx, id)
	switch {
	case err == nil && found.Subject == v.Subject:
		return flows.Done(), nil
	case err == nil:
		return flows.Exit(exitTaken), nil
	case errors.Is(err, account.ErrNotFound):
		err = s.tie(ctx, v, p, id)
	}
	if errors.Is(err, errTaken) {
		return flows.Exit(exitTaken), nil
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: account_link: %w", flows.ErrUnavailable, err)
	}
	return flows.Enrolled(idOf(id)), nil
}

// tie adds the record, or takes the account's own of before into use again. It waits
// for the run to go on: until then nobody enters by it.
func (s *step) tie(ctx context.Context, v *flows.Visit, p Provider, id oidcclient.Identity) error {
	next := bound(v, p, id, v.Subject, account.Pending, v.Level)
	err := s.accounts.AddAuthenticator(ctx, next)
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	return s.accounts.UpdateAuthenticator(ctx, next.ID, func(a *account.Authenticator) error {
		if a.Subject != v.Subject || a.Type != account.TypeIdentity {
			return errTaken
		}
		a.Status, a.Data, a.Name = account.Pending, next.Data, next.Name
		return nil
	})
}
