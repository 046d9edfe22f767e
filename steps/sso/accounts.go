package sso

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient"
)

// Accounts finds and makes accounts. Safe for concurrent use.
type Accounts interface {
	// AccountByLink returns the account that is linked to that identity of a
	// remote provider; [account.ErrNotFound].
	AccountByLink(ctx context.Context, issuer, external string) (account.Account, error)
	// CreateAccount stores an account with its authenticators and links, all of it
	// or nothing. [account.ErrExists] if the subject, a login or a link is taken.
	CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error
	// SetAttributes sets these attributes of an account and removes those that are
	// set to ""; [account.ErrNotFound].
	SetAttributes(ctx context.Context, subject string, attributes map[string]string) error
}

// ErrUnknown reports an identity that belongs to no account.
var ErrUnknown = errors.New("sso: unknown identity")

// Proof is what an identity that the provider vouches for comes to: the account that is
// linked to it, or is made for it, and what the provider is trusted to prove. Package
// externaltoken comes to it by another way. [ErrUnknown]: it belongs to no account.
func (p Provider) Proof(ctx context.Context, v *flows.Visit, as Accounts, id oidcclient.Identity) (flows.Proof, error) {
	subject, err := p.subject(ctx, v, as, id)
	if errors.Is(err, ErrUnknown) {
		return flows.Proof{}, err
	}
	if err != nil {
		return flows.Proof{}, fmt.Errorf("%w: sso: accounts: %w", flows.ErrUnavailable, err)
	}
	return flows.Proof{Subject: subject, Evidence: evidence(p, id)}, nil
}

// subject returns whose account the identity belongs to. Issuer and subject are
// the only key: an e-mail address is not, whoever has verified it. Whether the
// account may be used is for the engine to say.
func (p Provider) subject(ctx context.Context, v *flows.Visit, as Accounts, id oidcclient.Identity) (string, error) {
	found, err := as.AccountByLink(ctx, id.Issuer, id.Subject)
	switch {
	case err == nil:
		return found.Subject, p.update(ctx, as, id, found)
	case !errors.Is(err, account.ErrNotFound):
		return "", err
	case p.Provision != flowdefs.ProvisionCreate:
		return "", ErrUnknown
	}
	made := account.Account{Subject: rand.Text(), Status: account.Active, Created: v.Now.UTC()}
	made.Attributes = p.first(ctx, id)
	link := account.Link{Issuer: id.Issuer, External: id.Subject, Subject: made.Subject, Created: made.Created}
	err = as.CreateAccount(ctx, made, nil, []account.Link{link})
	if errors.Is(err, account.ErrExists) { // made by somebody else in the meantime
		found, err = as.AccountByLink(ctx, id.Issuer, id.Subject)
		return found.Subject, err
	}
	return made.Subject, err
}
