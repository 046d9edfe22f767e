package sso

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient"
)

// identity is the data of a [account.TypeIdentity] authenticator: it ties an identity
// at a provider to the account, and its owner can take it out of use like any other.
type identity struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"` // the provider's "sub"
	Level   string `json:"level"`   // of the run that linked it: it is never worth more (SP 800-63B-4 §4.1.2)
}

// idOf names an identity as evidence of it does. An issuer has no space in it.
func idOf(id oidcclient.Identity) string { return id.Issuer + " " + id.Subject }

// bound is the record that ties an identity to an account.
func bound(v *flows.Visit, p Provider, id oidcclient.Identity, subject string, status account.Status, level assurance.Level) account.Authenticator {
	data, _ := json.Marshal(identity{id.Issuer, id.Subject, level.String()}) // three strings: it cannot fail
	return account.Authenticator{
		ID: idOf(id), Subject: subject, Type: account.TypeIdentity, Name: p.Name, Status: status,
		Binding: level.String(), Data: data, Created: v.Now.UTC(),
	}
}

// linked is the account of an identity, and what the link is worth at most.
type linked struct {
	account.Account

	level assurance.Level
	new   bool // the identity has just come to it, by its address
}

// owner finds the account of an identity; [account.ErrNotFound]. One that was taken
// out of use is nobody's, also if a link of before names an account: whoever has it
// at the provider does not get in, nor a new account.
func (s owners) owner(ctx context.Context, id oidcclient.Identity) (linked, error) {
	found, err := s.accounts.AccountByLink(ctx, id.Issuer, id.Subject)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return linked{}, err
	}
	record, rerr := s.record(ctx, found.Subject, id)
	switch {
	case rerr == nil && record.Status != account.Active:
		return linked{}, account.ErrNotFound
	case errors.Is(rerr, account.ErrNotFound) && err == nil: // an administrator's link
		return linked{Account: found, level: assurance.AAL3}, nil
	case rerr != nil:
		return linked{}, rerr
	}
	var d identity
	if err := json.Unmarshal(record.Data, &d); err != nil {
		return linked{}, fmt.Errorf("data of authenticator: %w", err)
	}
	level, _ := assurance.ParseLevel(d.Level) // of an unknown name: None, which earns nothing
	found, err = s.accounts.Account(ctx, record.Subject)
	return linked{Account: found, level: level}, err
}

var errLooked = errors.New("sso: looked")

// record finds the record of an identity: among those of the account that is linked,
// if one is, else wherever it is; [account.ErrNotFound].
func (s owners) record(ctx context.Context, subject string, id oidcclient.Identity) (account.Authenticator, error) {
	if subject != "" {
		all, err := s.accounts.Authenticators(ctx, subject)
		if err != nil {
			return account.Authenticator{}, err
		}
		if i := slices.IndexFunc(all, func(a account.Authenticator) bool { return a.ID == idOf(id) && a.Type == account.TypeIdentity }); i >= 0 {
			return all[i], nil
		}
		return account.Authenticator{}, account.ErrNotFound
	}
	var out account.Authenticator
	err := s.accounts.UpdateAuthenticator(ctx, idOf(id), func(a *account.Authenticator) error {
		out = *a
		return errLooked // and stores nothing
	})
	if errors.Is(err, errLooked) && out.Type == account.TypeIdentity {
		err = nil
	}
	return out, err
}

// byAddress finds the account of a person by an address that the provider is believed
// about; [account.ErrNotFound] if there is none, or the provider is not, and ErrUnknown if
// there is one that the identity must not come to. The account has that address as a
// login, so that it is the only one, and has shown that mail to it arrives.
func (s owners) byAddress(ctx context.Context, p Provider, id oidcclient.Identity) (account.Account, error) {
	address, ok := p.believed(id)
	if !ok {
		return account.Account{}, account.ErrNotFound
	}
	login, err := account.Canonical(address)
	if err != nil {
		return account.Account{}, account.ErrNotFound
	}
	found, err := s.accounts.AccountByLogin(ctx, login)
	if err != nil {
		return account.Account{}, err
	}
	all, err := s.accounts.Authenticators(ctx, found.Subject)
	if err != nil {
		return account.Account{}, err
	}
	another := func(a account.Authenticator) bool { return from(a, id.Issuer) && a.ID != idOf(id) } // its own: see claim
	if found.Status != account.Active || slices.ContainsFunc(all, another) {
		return account.Account{}, ErrUnknown // disabled; or the address was somebody else's there before
	}
	if !slices.ContainsFunc(all, func(a account.Authenticator) bool { return proves(a, address) }) {
		return account.Account{}, account.ErrNotFound
	}
	return found, nil
}

// believed is the address of an identity if the provider has verified it and is the
// one to ask about its domain: that domain, and none below or like it.
func (p Provider) believed(id oidcclient.Identity) (string, bool) {
	if !id.EmailVerified || strings.ContainsFunc(id.Email, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false
	}
	address, err := account.ParseEmail(id.Email)
	if err != nil {
		return "", false
	}
	return address, slices.Contains(p.Domains, address[strings.LastIndexByte(address, '@')+1:])
}

// proves says whether an authenticator is that address, bound and in use.
func proves(a account.Authenticator, address string) bool {
	var d account.EmailData
	return a.Type == account.TypeEmail && a.Status == account.Active && json.Unmarshal(a.Data, &d) == nil && d.Address == address
}

// from says whether an authenticator is an identity at that issuer, in use or not.
func from(a account.Authenticator, issuer string) bool {
	var d identity
	return a.Type == account.TypeIdentity && (json.Unmarshal(a.Data, &d) != nil || d.Issuer == issuer)
}
