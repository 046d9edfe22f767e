package ldappassword

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

var (
	// errDown reports a directory that does not answer, or not what it should.
	errDown = fmt.Errorf("%w: ldappassword: the directory", flows.ErrUnavailable)
	// errNone reports that no entry, or more than one, is like that.
	errNone = fmt.Errorf("ldappassword: no entry, or several: %w", account.ErrNotFound)
	// errLeftAlone reports a request that was not sent.
	errLeftAlone = fmt.Errorf("%w: it has failed several times, and is left alone for a while", errDown)
	// errWrong reports a wrong password, and somebody whom the directory does not have or not let in.
	errWrong = fmt.Errorf("ldappassword: %w", account.ErrWrong)
)

// Entry is who was found, and let in.
type Entry struct {
	ID         string            // what stays when somebody is renamed
	Attributes map[string]string // of the account, by name; "": the directory has none
}

// Directory verifies passwords by search and bind. Safe for concurrent use.
type Directory struct {
	def     flowdefs.Directory
	search  *pool
	binds   *pool
	circuit circuit
}

// Access is what a directory's definition leaves to the deployment.
type Access struct {
	Password string           // of bind_dn
	Roots    *x509.CertPool   // nil: those of the system
	Now      func() time.Time // required
}

// NewDirectory makes a directory of its definition. It asks nobody yet. Close it.
func NewDirectory(d flowdefs.Directory, a Access) (*Directory, error) {
	u, err := url.Parse(d.URL)
	if err != nil || a.Now == nil || d.BindDN != "" && a.Password == "" {
		return nil, fmt.Errorf("ldappassword: directory %s: url, clock or password is missing", d.Name)
	}
	if _, err := ldap.ParseDN(d.Base); err != nil {
		return nil, fmt.Errorf("ldappassword: directory %s: base: %w", d.Name, err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.Roots, ServerName: u.Hostname()}
	bind := func(c *ldap.Conn) error { return c.Bind(d.BindDN, a.Password) }
	if d.BindDN == "" {
		bind = nil
	}
	return &Directory{def: d, search: newPool(d.URL, cfg, bind), binds: newPool(d.URL, cfg, nil), circuit: circuit{now: a.Now}}, nil
}

// Close closes the connections.
func (d *Directory) Close() error {
	d.search.close()
	d.binds.close()
	return nil
}

// ByLogin lets in who has that login and password. Somebody whom the directory
// does not have costs it the same requests. errWrong, errDown.
func (d *Directory) ByLogin(ctx context.Context, login, password string) (Entry, error) {
	var any strings.Builder
	for _, attribute := range d.def.Logins {
		fmt.Fprintf(&any, "(%s=%s)", attribute, ldap.EscapeFilter(login))
	}
	return d.verify(ctx, "(|"+any.String()+")", password)
}

// ByID lets in whose entry has that ID, with that password.
func (d *Directory) ByID(ctx context.Context, id, password string) (Entry, error) {
	return d.verify(ctx, fmt.Sprintf("(%s=%s)", d.def.ID, ldap.EscapeFilter(id)), password)
}

// Read returns the one entry whose attribute has that value. What is looked for comes
// from an account, so it is data here: no filter can be made of it. Directories compare
// loosely (RFC 4518: case, spaces, wide letters), where whoever gave the account its value
// may have two people: here it is the same or it is not. It neither binds nor hides whether
// there is somebody.
func (d *Directory) Read(ctx context.Context, attribute, value string) (Entry, error) {
	if value == "" {
		return Entry{}, errNone
	}
	if !d.circuit.allows() {
		return Entry{}, errLeftAlone
	}
	found, err := d.find(ctx, fmt.Sprintf("(%s=%s)", ldap.EscapeFilter(attribute), ldap.EscapeFilter(value)), attribute)
	var out Entry
	switch {
	case err == nil && (found == nil || !slices.Contains(found.GetEqualFoldAttributeValues(attribute), value)):
		err = errNone
	case err == nil:
		out, err = d.entry(ctx, found)
	}
	d.circuit.report(!errors.Is(err, errDown))
	return out, err
}

// Says reports whether entries have an account's attribute of that name.
func (d *Directory) Says(name string) bool {
	if name == flowdefs.RolesAttribute {
		return d.def.GroupBase != ""
	}
	return d.def.Attributes[name] != ""
}

// verify searches, binds, and looks what the person is a member of. A bind
// without a password would succeed whoever it is for (RFC 4513 §5.1.2).
func (d *Directory) verify(ctx context.Context, filter, password string) (Entry, error) {
	if password == "" {
		return Entry{}, errWrong
	}
	if !d.circuit.allows() {
		return Entry{}, errLeftAlone
	}
	found, err := d.find(ctx, filter)
	if err == nil {
		err = d.bind(ctx, found, password)
	}
	var out Entry
	if err == nil {
		out, err = d.entry(ctx, found)
	}
	d.circuit.report(!errors.Is(err, errDown))
	return out, err
}

// find returns the one entry that fits, nil if none does or several do.
func (d *Directory) find(ctx context.Context, filter string, also ...string) (*ldap.Entry, error) {
	const enough = 2
	wanted := slices.Concat([]string{d.def.ID}, slices.Sorted(maps.Values(d.def.Attributes)), also)
	q := ldap.NewSearchRequest(d.def.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, enough, int(requestWait.Seconds()), false,
		fmt.Sprintf("(&(objectClass=%s)%s)", ldap.EscapeFilter(d.def.ObjectClass), filter), wanted, nil)
	all, err := d.query(ctx, q)
	if err != nil || len(all) != 1 || all[0].GetEqualFoldAttributeValue(d.def.ID) == "" {
		return nil, err
	}
	return all[0], nil
}

// query searches. More than was asked for is as good as all of it.
func (d *Directory) query(ctx context.Context, q *ldap.SearchRequest) (all []*ldap.Entry, err error) {
	err = d.search.do(ctx, func(c *ldap.Conn) error {
		r, err := c.Search(q)
		if err != nil && !ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultNoSuchObject) {
			return fmt.Errorf("%w: search: %w", errDown, err)
		}
		if r != nil {
			all = r.Entries
		}
		return nil
	})
	return all, err
}

// bind verifies the password. For nobody it binds somebody who cannot be there,
// so that the directory has its work.
func (d *Directory) bind(ctx context.Context, found *ldap.Entry, password string) error {
	dn := "cn=" + rand.Text() + "," + d.def.Base
	if found != nil {
		dn = found.DN
	}
	err := d.binds.do(ctx, func(c *ldap.Conn) error {
		err := c.Bind(dn, password)
		switch {
		case err == nil:
			return nil
		case ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication,
			ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInsufficientAccessRights):
			return errWrong // also what a policy says: that the account is locked, or the password too old
		}
		return fmt.Errorf("%w: bind: %w", errDown, err)
	})
	if err == nil && found == nil {
		return errWrong
	}
	return err
}

// entry is what an account has of the directory. What the directory has no more, it has as "".
func (d *Directory) entry(ctx context.Context, found *ldap.Entry) (Entry, error) {
	out := Entry{ID: found.GetEqualFoldAttributeValue(d.def.ID), Attributes: map[string]string{}}
	for name, attribute := range d.def.Attributes {
		out.Attributes[name] = found.GetEqualFoldAttributeValue(attribute)
	}
	if d.def.GroupBase == "" {
		return out, nil
	}
	names, err := d.groupsOf(ctx, found.DN, d.def.GroupBase, d.def.Member)
	if err != nil {
		return Entry{}, err
	}
	var roles []string
	for _, cn := range names {
		if role := d.def.Roles[cn]; role != "" {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	out.Attributes[flowdefs.RolesAttribute] = strings.Join(slices.Compact(roles), ",")
	return out, nil
}
