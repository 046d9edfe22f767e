package ldappassword

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// errStranger reports somebody whom the directory has let in, and who has no account.
var errStranger = errors.New("ldappassword: the entry belongs to no account")

// Issuer is what links to the entries of a directory name as their issuer.
func Issuer(directory string) string { return "ldap:" + directory }

// AuthenticatorID is the id of the authenticator that an entry of a directory is.
func AuthenticatorID(directory, id string) string {
	sum := sha256.Sum256([]byte("ldap\x00" + directory + "\x00" + id))
	return hex.EncodeToString(sum[:16])
}

// verify returns the authenticator of who was let in, and whose it is.
func (s *step) verify(ctx context.Context, v *flows.Visit, known Known, a answer) (account.Authenticator, string, error) {
	// Asked also for no account at all, so that the look-up takes its time.
	all, err := s.Authenticators.Authenticators(ctx, v.Claimed)
	if err != nil {
		return account.Authenticator{}, "", err
	}
	own, bound, err := s.own(all)
	if err != nil {
		return account.Authenticator{}, "", err
	}
	login := cmp.Or(a.Username, v.Identifier)
	var e Entry
	switch usable := bound && own.Status == account.Active; {
	case usable && v.Claimed != "":
		e, err = s.byID(ctx, known, own, a.Password)
	case bound || login == "" || v.Subject != "" && !usable: // it is taken out of use, or nobody is named: the same requests, for nobody
		if _, err = known.Verifier.ByLogin(ctx, rand.Text(), a.Password); err == nil {
			err = account.ErrWrong
		}
	default:
		e, err = known.Verifier.ByLogin(ctx, login, a.Password)
	}
	if err == nil && v.Idle { // nobody is let in: an account that were made now would have attempts of its own
		err = account.ErrWrong
	}
	if err != nil {
		return account.Authenticator{}, "", err
	}
	return s.admit(ctx, v, known, login, e)
}

func (s *step) byID(ctx context.Context, known Known, own account.Authenticator, password string) (Entry, error) {
	var d account.LDAPData
	if err := json.Unmarshal(own.Data, &d); err != nil {
		return Entry{}, fmt.Errorf("data of authenticator %s: %w", own.ID, err)
	}
	return known.Verifier.ByID(ctx, d.ID, password)
}

// own finds the account's authenticator of this directory.
func (s *step) own(all []account.Authenticator) (account.Authenticator, bool, error) {
	for _, a := range all {
		if a.Type != account.TypeLDAP {
			continue
		}
		var d account.LDAPData
		if err := json.Unmarshal(a.Data, &d); err != nil {
			return a, false, fmt.Errorf("data of authenticator %s: %w", a.ID, err)
		}
		if d.Directory == s.directory {
			return a, true, nil
		}
	}
	return account.Authenticator{}, false, nil
}

// admit finds the account of an entry, or makes it, and takes over what the
// directory says. Whoever was claimed by name must be who the entry belongs to.
func (s *step) admit(ctx context.Context, v *flows.Visit, known Known, login string, e Entry) (account.Authenticator, string, error) {
	who, err := s.Accounts.AccountByLink(ctx, Issuer(s.directory), e.ID)
	if errors.Is(err, account.ErrNotFound) {
		who, err = s.provision(ctx, v, known, login, e)
	}
	if err != nil {
		return account.Authenticator{}, "", err
	}
	if v.Claimed != "" && who.Subject != v.Claimed {
		return account.Authenticator{}, "", account.ErrWrong
	}
	found, err := s.use(ctx, v, known, who.Subject, e.ID)
	if err != nil {
		return account.Authenticator{}, "", err
	}
	if changed := changes(who.Attributes, e.Attributes); len(changed) > 0 {
		err = s.Accounts.SetAttributes(ctx, who.Subject, changed)
	}
	return found, who.Subject, err
}

// changes are the attributes that the directory has otherwise. Whoever has verified the
// value of before has not verified this one.
func changes(has, says map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range says {
		if has[name] == value {
			continue
		}
		if out[name] = value; says[name+flowdefs.VerifiedSuffix] == "" && has[name+flowdefs.VerifiedSuffix] != "" {
			out[name+flowdefs.VerifiedSuffix] = ""
		}
	}
	return out
}

// provision makes an account for an entry that has none, if the directory may.
// A name that is taken is taken: its owner is somebody else.
func (s *step) provision(ctx context.Context, v *flows.Visit, known Known, login string, e Entry) (account.Account, error) {
	canonical, err := account.Canonical(login)
	if known.Provision != flowdefs.ProvisionCreate || err != nil || v.Claimed != "" {
		return account.Account{}, errStranger
	}
	made := account.Account{
		Subject: rand.Text(), Status: account.Active, Logins: []string{canonical}, Attributes: maps.Clone(e.Attributes), Created: v.Now.UTC(),
	}
	maps.DeleteFunc(made.Attributes, func(_, value string) bool { return value == "" })
	link := account.Link{Issuer: Issuer(s.directory), External: e.ID, Subject: made.Subject, Created: made.Created}
	err = s.Accounts.CreateAccount(ctx, made, nil, []account.Link{link})
	if errors.Is(err, account.ErrExists) { // made by somebody else in the meantime, or the name is taken
		found, err := s.Accounts.AccountByLink(ctx, link.Issuer, link.External)
		if errors.Is(err, account.ErrNotFound) {
			return account.Account{}, errStranger
		}
		return found, err
	}
	return made, err
}

// use notes the use of the account's authenticator, which is bound at the first.
// One that was taken out of use lets nobody in.
func (s *step) use(ctx context.Context, v *flows.Visit, known Known, subject, id string) (account.Authenticator, error) {
	data, err := json.Marshal(account.LDAPData{Directory: s.directory, ID: id})
	if err != nil {
		return account.Authenticator{}, err
	}
	a := account.Authenticator{
		ID: AuthenticatorID(s.directory, id), Subject: subject, Type: account.TypeLDAP, Name: s.directory, Status: account.Active,
		Binding: known.Binding.String(), Data: data, Created: v.Now.UTC(), LastUsed: v.Now.UTC(),
	}
	err = s.Authenticators.AddAuthenticator(ctx, a)
	if !errors.Is(err, account.ErrExists) {
		return a, err
	}
	err = s.Authenticators.UpdateAuthenticator(ctx, a.ID, func(x *account.Authenticator) error {
		if x.Status != account.Active || x.Subject != subject || x.Type != account.TypeLDAP {
			return account.ErrWrong
		}
		x.LastUsed = v.Now.UTC()
		a = *x
		return nil
	})
	return a, err
}
