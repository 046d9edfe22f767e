package account

import (
	"errors"
	"fmt"
	"maps"
)

// Errors of what repositories refuse whatever they hold.
var (
	ErrFixed   = errors.New("account: authenticator's identity cannot change")
	ErrInvalid = errors.New("account: not a valid account")
)

// Merged returns all attributes with those that changes sets, and without those
// that it sets to "".
func Merged(all, changes map[string]string) map[string]string {
	out := maps.Clone(all)
	if out == nil {
		out = map[string]string{}
	}
	for name, value := range changes {
		if out[name] = value; value == "" {
			delete(out, name)
		}
	}
	return out
}

// CheckUpdate says whether an authenticator may become another value: its id,
// account, type, level at binding and creation time never change. Repositories
// call it in UpdateAuthenticator. [ErrFixed] names the field.
func CheckUpdate(before, after Authenticator) error {
	switch {
	case after.ID != before.ID:
		return fmt.Errorf("%w: id", ErrFixed)
	case after.Subject != before.Subject:
		return fmt.Errorf("%w: subject", ErrFixed)
	case after.Type != before.Type:
		return fmt.Errorf("%w: type", ErrFixed)
	case after.Binding != before.Binding:
		return fmt.Errorf("%w: binding", ErrFixed)
	case !after.Created.Equal(before.Created):
		return fmt.Errorf("%w: created", ErrFixed)
	}
	return nil
}

// CheckNew says whether an account can be stored with these authenticators and
// links: it has a subject, all are its own, and every login is canonical and
// stands there once. Repositories call it in CreateAccount. [ErrInvalid] says what is wrong.
func CheckNew(a Account, auths []Authenticator, links []Link) error {
	if a.Subject == "" {
		return fmt.Errorf("%w: no subject", ErrInvalid)
	}
	ids := map[string]bool{}
	for _, x := range auths {
		if x.Subject != a.Subject || x.ID == "" || ids[x.ID] {
			return fmt.Errorf("%w: authenticator %q is repeated, has no id, or is of another account", ErrInvalid, x.ID)
		}
		ids[x.ID] = true
	}
	names := map[[2]string]bool{}
	for _, l := range links {
		name := [2]string{l.Issuer, l.External}
		if l.Subject != a.Subject || l.Issuer == "" || l.External == "" || names[name] {
			return fmt.Errorf("%w: link is repeated, has no names, or is of another account", ErrInvalid)
		}
		names[name] = true
	}
	return checkLogins(a.Logins)
}

// checkLogins refuses a login that nobody could be found by.
func checkLogins(logins []string) error {
	seen := map[string]bool{}
	for _, login := range logins {
		canonical, err := Canonical(login)
		if err != nil || canonical != login || seen[login] {
			return fmt.Errorf("%w: login %q is repeated or not canonical", ErrInvalid, login)
		}
		seen[login] = true
	}
	return nil
}
