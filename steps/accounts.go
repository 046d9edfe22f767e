package steps

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

// Repository finds accounts; the stores' repositories of accounts do. Safe for
// concurrent use. What is not there is [account.ErrNotFound].
type Repository interface {
	Account(ctx context.Context, subject string) (account.Account, error)
	// AccountByLogin finds by canonical login.
	AccountByLogin(ctx context.Context, login string) (account.Account, error)
	// Authenticators returns the account's authenticators, whatever their type and status.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// Agreements returns what an account has agreed to; none is no error.
	Agreements(ctx context.Context, subject string) ([]account.Agreement, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Accounts lets an engine look accounts up in a repository.
func Accounts(r Repository) flows.Accounts { return accounts{r} }

type accounts struct{ repository Repository }

// Account returns the account with its active authenticators. A subject that is
// not there costs the same queries.
func (a accounts) Account(ctx context.Context, subject string) (flows.Account, error) {
	found, absent := a.repository.Account(ctx, subject)
	all, err := a.repository.Authenticators(ctx, subject)
	given, err2 := a.repository.Agreements(ctx, subject)
	if err := cmp.Or(absent, err, err2); err != nil {
		return flows.Account{}, translate(err)
	}
	return flows.Account{
		Subject:        found.Subject,
		Status:         status(found.Status),
		Attributes:     found.Attributes,
		Authenticators: usable(all),
		Contacts:       contacts(all),
		Accepted:       accepted(given),
	}, nil
}

// Resolve finds the account of a login, however it is spelled. What cannot be
// a login belongs to nobody.
func (a accounts) Resolve(ctx context.Context, identifier string) (subject, canonical string, err error) {
	login, err := account.Canonical(identifier)
	if err != nil {
		return "", "", nil //nolint:nilerr // see above
	}
	found, err := a.repository.AccountByLogin(ctx, login)
	if errors.Is(err, account.ErrNotFound) {
		return "", login, nil
	}
	if err != nil {
		return "", "", translate(err)
	}
	return found.Subject, login, nil
}

// Activate completes the binding of an authenticator.
func (a accounts) Activate(ctx context.Context, authenticator string) error {
	err := a.repository.UpdateAuthenticator(ctx, authenticator, func(au *account.Authenticator) error {
		if au.Status == account.Pending {
			au.Status = account.Active
		}
		return nil
	})
	if err != nil {
		return translate(err)
	}
	return nil
}

// Disable takes an authenticator out of use. It is kept: nobody can bind the same again.
func (a accounts) Disable(ctx context.Context, authenticator string) error {
	err := a.repository.UpdateAuthenticator(ctx, authenticator, func(au *account.Authenticator) error {
		au.Status = account.Disabled
		return nil
	})
	if err != nil {
		return translate(err)
	}
	return nil
}

// status turns whatever is not plainly active into disabled.
func status(s account.Status) flows.AccountStatus {
	if s == account.Active {
		return flows.AccountActive
	}
	return flows.AccountDisabled
}

func usable(all []account.Authenticator) []flows.Authenticator {
	var out []flows.Authenticator
	for _, a := range all {
		if a.Status != account.Active && a.Status != account.Pending {
			continue
		}
		binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
		out = append(out, flows.Authenticator{
			ID: a.ID, Type: a.Type, Binding: binding, Key: binds(a), Pending: a.Status == account.Pending,
			Attested: vouched(a) == attested, Unattested: vouched(a) == unattested,
		})
	}
	return out
}

// contacts are the addresses that are told what happens to the account, in the
// order in which they were bound: those of mail, and only where there is none the telephones.
func contacts(all []account.Authenticator) []flows.Contact {
	for _, by := range []struct{ typ, channel string }{{account.TypeEmail, "email"}, {account.TypePhone, "sms"}} {
		bound := slices.DeleteFunc(slices.Clone(all), func(a account.Authenticator) bool {
			return a.Type != by.typ || a.Status != account.Active
		})
		slices.SortFunc(bound, func(a, b account.Authenticator) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
		})
		var out []flows.Contact
		for _, a := range bound {
			var d struct{ Address, Number string } // of account.EmailData and account.PhoneData
			if json.Unmarshal(a.Data, &d) == nil && d.Address+d.Number != "" {
				out = append(out, flows.Contact{Channel: by.channel, To: cmp.Or(d.Address, d.Number)})
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// binds is the key of the device that an authenticator makes a bound one. A device
// is bound by its own key: a PIN that somebody set on it does not bind it.
func binds(a account.Authenticator) string {
	if a.Type != account.TypeDevice {
		return ""
	}
	return a.Key
}

// The words of makers for the keys of phones.
const (
	silent     = iota // it is no such key, or what is stored cannot be read
	attested          // its maker vouched for it
	unattested        // nobody did
)

// vouched is what the maker of a phone has said of its key. Where that cannot be
// read it has said nothing: such a key counts as the better one for what enrolling
// needs, and as the lesser one for what device.attested lets through.
func vouched(a account.Authenticator) int {
	if a.Type != account.TypeDevice && a.Type != account.TypeDevicePIN {
		return silent
	}
	var d account.DeviceData
	switch {
	case json.Unmarshal(a.Data, &d) != nil:
		return silent
	case d.Attested:
		return attested
	}
	return unattested
}

func accepted(given []account.Agreement) []string {
	var out []string
	for _, a := range given {
		if a.Kind == account.Terms {
			out = append(out, a.Name)
		}
	}
	return out
}

// translate keeps "there is no such account" apart from "it cannot be known now".
func translate(err error) error {
	if errors.Is(err, account.ErrNotFound) {
		return flows.ErrNotFound
	}
	return fmt.Errorf("%w: accounts: %w", flows.ErrUnavailable, err)
}
