package sso

import (
	"context"
	"crypto/rand"
	"errors"

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

// errUnknown reports an identity that belongs to no account.
var errUnknown = errors.New("sso: unknown identity")

// subject returns whose account the identity belongs to. Issuer and subject are
// the only key: an e-mail address is not, whoever has verified it. Whether the
// account may be used is for the engine to say.
func (s *step) subject(ctx context.Context, v *flows.Visit, p Provider, id oidcclient.Identity) (string, error) {
	found, err := s.accounts.AccountByLink(ctx, id.Issuer, id.Subject)
	switch {
	case err == nil:
		return found.Subject, s.update(ctx, p, id, found)
	case !errors.Is(err, account.ErrNotFound):
		return "", err
	case p.Provision != flowdefs.ProvisionCreate:
		return "", errUnknown
	}
	made := account.Account{Subject: rand.Text(), Status: account.Active, Created: v.Now.UTC()}
	made.Attributes = p.first(ctx, id)
	link := account.Link{Issuer: id.Issuer, External: id.Subject, Subject: made.Subject, Created: made.Created}
	err = s.accounts.CreateAccount(ctx, made, nil, []account.Link{link})
	if errors.Is(err, account.ErrExists) { // made by somebody else in the meantime
		found, err = s.accounts.AccountByLink(ctx, id.Issuer, id.Subject)
		return found.Subject, err
	}
	return made.Subject, err
}
