package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/steps/ldappassword"
)

// entries is a directory that has the person of a scenario and nobody else.
type entries struct{ login string }

func entryOf(login string) string { return "entry-of-" + login }

// ByLogin implements [ldappassword.Verifier].
func (e entries) ByLogin(_ context.Context, login, typed string) (ldappassword.Entry, error) {
	if login != e.login || typed != password {
		return ldappassword.Entry{}, account.ErrWrong
	}
	return ldappassword.Entry{ID: entryOf(e.login)}, nil
}

// ByID implements [ldappassword.Verifier].
func (e entries) ByID(ctx context.Context, id, typed string) (ldappassword.Entry, error) {
	if id != entryOf(e.login) {
		return ldappassword.Entry{}, account.ErrWrong
	}
	return e.ByLogin(ctx, e.login, typed)
}

// directories are those of the definitions.
func (p *play) directories() ldappassword.Directories {
	all := ldappassword.Directories{}
	for name, d := range p.stage.set.Directories {
		all[name] = ldappassword.Known{Verifier: entries{p.cast.Given.Account}, Provision: d.Provision, Binding: d.Binding}
	}
	return all
}

// entryLinks tie the person to their entries.
func (p *play) entryLinks(subject string, now time.Time) (out []account.Link) {
	for _, name := range slices.Sorted(maps.Keys(p.stage.set.Directories)) {
		out = append(out, account.Link{Issuer: ldappassword.Issuer(name), External: entryOf(subject), Subject: subject, Created: now})
	}
	return out
}

// bindEntry makes the authenticator that a sign-in before has bound.
func (p *play) bindEntry(login string) (id string, data []byte, err error) {
	for _, name := range slices.Sorted(maps.Keys(p.stage.set.Directories)) {
		data, err = json.Marshal(account.LDAPData{Directory: name, ID: entryOf(login)})
		return ldappassword.AuthenticatorID(name, entryOf(login)), data, err
	}
	return "", nil, fmt.Errorf("has: the definitions have no directory, and nobody can be given %q", account.TypeLDAP)
}

// typeEntry knows ok, wrong, and unknown: a login that nobody has.
func (p *play) typeEntry(_ context.Context, q scenario.Prompt) (json.RawMessage, error) {
	var prompt struct {
		IdentifierRequired bool `json:"identifierRequired"`
	}
	if err := json.Unmarshal(q.Data, &prompt); err != nil {
		return nil, err
	}
	out := map[string]string{"password": password}
	if prompt.IdentifierRequired {
		out["username"] = p.person.login
	}
	switch q.Word {
	case "ok":
	case "wrong":
		out["password"] = "not " + password
	case "unknown":
		out["username"] = "nobody"
	default:
		return nil, unknownWord("ldap_password", q.Word, "ok, wrong, unknown")
	}
	return reply(out, nil)
}
