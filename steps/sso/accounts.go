package sso

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient"
)

// Accounts finds and makes accounts. Safe for concurrent use.
type Accounts interface {
	// AccountByLink returns the account that is linked to that identity of a
	// remote provider; [account.ErrNotFound].
	AccountByLink(ctx context.Context, issuer, external string) (account.Account, error)
	// AccountByLogin returns the account that has this canonical login; [account.ErrNotFound].
	AccountByLogin(ctx context.Context, login string) (account.Account, error)
	// Account returns the account of that subject; [account.ErrNotFound].
	Account(ctx context.Context, subject string) (account.Account, error)
	// CreateAccount stores an account with its authenticators and links, all of it
	// or nothing. [account.ErrExists] if the subject, a login, a link or an id is taken.
	CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error
	// SetAttributes sets these attributes of an account and removes those that are
	// set to ""; [account.ErrNotFound].
	SetAttributes(ctx context.Context, subject string, attributes map[string]string) error
	Identities
}

// Identities keep what identities are to accounts: authenticators.
type Identities interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// ErrUnknown reports an identity that belongs to no account.
var ErrUnknown = errors.New("sso: unknown identity")

// Proof is what an identity that the provider vouches for comes to: the account that is
// linked to it, or is made for it, and what the provider is trusted to prove. Package
// externaltoken comes to it by another way. [ErrUnknown]: it belongs to no account.
func (p Provider) Proof(ctx context.Context, v *flows.Visit, as Accounts, id oidcclient.Identity) (flows.Proof, error) {
	who, err := owners{as}.subject(ctx, v, p, id)
	if errors.Is(err, ErrUnknown) {
		return flows.Proof{}, err
	}
	if err != nil {
		return flows.Proof{}, fmt.Errorf("%w: sso: accounts: %w", flows.ErrUnavailable, err)
	}
	proof := flows.Proof{Subject: who.Subject, Evidence: evidence(p, id, who.level)}
	if who.new {
		proof.Bound = account.TypeIdentity
	}
	if id.Tokens == nil {
		return proof, nil
	}
	data, err := json.Marshal(id.Tokens)
	proof.Leaves = &flows.Leftover{Provider: p.Name, Data: data}
	return proof, err
}

// owners finds out whose an identity is.
type owners struct{ accounts Accounts }

// subject returns whose account the identity belongs to, and the level above which
// its link is worth nothing. Issuer and subject are the only key: an e-mail address
// is none, but at its first sign-on that of a provider that is believed about it.
// Whether the account may be used is for the engine to say.
func (s owners) subject(ctx context.Context, v *flows.Visit, p Provider, id oidcclient.Identity) (linked, error) {
	found, err := s.owner(ctx, id)
	if errors.Is(err, account.ErrNotFound) {
		found, err = s.first(ctx, v, p, id)
	}
	if errors.Is(err, account.ErrNotFound) {
		return linked{}, ErrUnknown
	}
	if err != nil {
		return linked{}, err
	}
	return found, p.update(ctx, s.accounts, id, found.Account)
}

// first does what the first sign-on of an identity comes to: it belongs to an account
// afterwards, or it stays unknown, [ErrUnknown] or [account.ErrNotFound]. Who is there first wins.
func (s owners) first(ctx context.Context, v *flows.Visit, p Provider, id oidcclient.Identity) (linked, error) {
	if p.Provision != flowdefs.ProvisionCreate && p.Provision != flowdefs.ProvisionLinkOnly {
		return linked{}, ErrUnknown
	}
	matched, err := s.byAddress(ctx, p, id)
	switch {
	case err == nil:
		// Pending until the run has stored what was proved by it: before, nobody has heard of it.
		err = s.claim(ctx, bound(v, p, id, matched.Subject, account.Pending, assurance.AAL3))
		if err == nil {
			return linked{Account: matched, level: assurance.AAL3, new: true}, nil
		}
	case errors.Is(err, account.ErrNotFound) && p.Provision == flowdefs.ProvisionCreate:
		made := account.Account{Subject: rand.Text(), Status: account.Active, Created: v.Now.UTC(), Attributes: p.first(ctx, id)}
		link := account.Link{Issuer: id.Issuer, External: id.Subject, Subject: made.Subject, Created: made.Created}
		record := bound(v, p, id, made.Subject, account.Active, assurance.AAL3)
		err = s.accounts.CreateAccount(ctx, made, []account.Authenticator{record}, []account.Link{link})
	}
	if err != nil && !errors.Is(err, account.ErrExists) { // linked by somebody else in the meantime, or taken out of use
		return linked{}, err
	}
	return s.owner(ctx, id)
}

// claim adds a pending record. One that waits already, of a run that died before it was
// stored or that is under way, is the same; [account.ErrExists] if there is any other.
func (s owners) claim(ctx context.Context, next account.Authenticator) error {
	err := s.accounts.AddAuthenticator(ctx, next)
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	return s.accounts.UpdateAuthenticator(ctx, next.ID, func(a *account.Authenticator) error {
		if a.Subject != next.Subject || a.Type != next.Type || a.Status != account.Pending {
			return account.ErrExists
		}
		a.Data, a.Name = next.Data, next.Name
		return nil
	})
}
