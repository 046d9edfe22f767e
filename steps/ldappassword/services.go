package ldappassword

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// Services are the clients of directories, by the directory's name: service accounts, which
// prove who they are by a bind with their password. What they may have stands in their
// entry and in the groups that they are members of, within what the source of the
// definitions allows. It is not changed once it is in use.
type Services map[string]*Directory

var _ flows.ServiceClients = Services(nil)

// CheckEntries refuses a base or a filter that no directory reads.
func CheckEntries(e *flowdefs.Entries) error {
	if _, err := ldap.ParseDN(e.Base); err != nil {
		return fmt.Errorf("base: %w", err)
	}
	if _, err := ldap.ParseDN(e.GroupBase); err != nil {
		return fmt.Errorf("base of groups: %w", err)
	}
	if e.Filter == "" {
		return nil
	}
	if _, err := ldap.CompileFilter(e.Filter); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	return nil
}

// Client implements [flows.ServiceClients].
func (s Services) Client(ctx context.Context, source *flowdefs.ClientSource, id string) (flows.Found, error) {
	return s.look(ctx, source, id, func(d *Directory, found *ldap.Entry) error {
		if found == nil {
			return errWrong
		}
		return nil
	})
}

// Admit implements [flows.ServiceClients]. An empty secret is refused before anything is
// sent: a directory takes it for no authentication, which succeeds (RFC 4513 §5.1.2).
func (s Services) Admit(ctx context.Context, source *flowdefs.ClientSource, id, secret string) (flows.Found, error) {
	if secret == "" || len(secret) > longest {
		return flows.Found{}, flows.ErrNotFound
	}
	return s.look(ctx, source, id, func(d *Directory, found *ldap.Entry) error { return d.bind(ctx, found, secret) })
}

// look finds the entry, lets prove say whether it is let in, and makes a client of it.
func (s Services) look(ctx context.Context, source *flowdefs.ClientSource, id string, prove func(*Directory, *ldap.Entry) error) (flows.Found, error) {
	d := s[source.Entries.Directory]
	if d == nil {
		return flows.Found{}, fmt.Errorf("%w: the directory %q, or its password, is not configured", flows.ErrUnavailable, source.Entries.Directory)
	}
	if !isService(id) {
		return flows.Found{}, flows.ErrNotFound
	}
	if !d.circuit.allows() {
		return flows.Found{}, errLeftAlone
	}
	found, err := d.service(ctx, source.Entries, id)
	if err == nil {
		err = prove(d, found)
	}
	var scopes []string
	if err == nil {
		scopes, err = d.scopes(ctx, source.Entries, found)
	}
	d.circuit.report(!errors.Is(err, errDown))
	if errors.Is(err, account.ErrWrong) {
		return flows.Found{}, fmt.Errorf("%w: %w", flows.ErrNotFound, err)
	}
	if err != nil {
		return flows.Found{}, err
	}
	c, dropped, err := source.Bound(&flowdefs.Client{
		ID: id, Targets: source.Targets, DPoPRequired: source.DPoPRequired,
		OAuth: &flowdefs.OAuth{Grants: source.Grants, Auth: source.Auth[0], Scopes: scopes, Refresh: source.Refresh},
	})
	return flows.Found{Client: c, Dropped: dropped}, err
}

// isService says whether something can be the id of a service: it stands in the sub of tokens.
func isService(id string) bool {
	const most = 64
	return id != "" && len(id) <= most && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// service returns the one entry with that id, nil if there is none, or several. Directories
// compare loosely; who signs a name into tokens does not.
func (d *Directory) service(ctx context.Context, e *flowdefs.Entries, id string) (*ldap.Entry, error) {
	const enough = 2
	wanted := []string{e.ID}
	if e.Scope != "" {
		wanted = append(wanted, e.Scope)
	}
	q := ldap.NewSearchRequest(e.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, enough, int(requestWait.Seconds()), false,
		fmt.Sprintf("(&(objectClass=%s)%s(%s=%s))", ldap.EscapeFilter(e.ObjectClass), e.Filter, e.ID, ldap.EscapeFilter(id)), wanted, nil)
	all, err := d.query(ctx, q)
	if err != nil || len(all) != 1 || !slices.Contains(all[0].GetEqualFoldAttributeValues(e.ID), id) {
		return nil, err
	}
	return all[0], nil
}

// scopes are those of the entry and of its groups.
func (d *Directory) scopes(ctx context.Context, e *flowdefs.Entries, found *ldap.Entry) ([]string, error) {
	var out []string
	if e.Scope != "" {
		for _, value := range found.GetEqualFoldAttributeValues(e.Scope) {
			out = append(out, strings.Fields(value)...)
		}
	}
	if e.GroupBase != "" {
		names, err := d.groupsOf(ctx, found.DN, e.GroupBase, e.Member)
		if err != nil {
			return nil, err
		}
		for _, cn := range names {
			if scope := e.Scopes[cn]; scope != "" {
				out = append(out, scope)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// groupsOf are the names of the groups that an entry is a member of.
func (d *Directory) groupsOf(ctx context.Context, dn, base, member string) ([]string, error) {
	q := ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, int(requestWait.Seconds()), false,
		fmt.Sprintf("(%s=%s)", member, ldap.EscapeFilter(dn)), []string{"cn"}, nil)
	groups, err := d.query(ctx, q)
	var names []string
	for _, g := range groups {
		names = append(names, g.GetEqualFoldAttributeValues("cn")...)
	}
	return names, err
}
