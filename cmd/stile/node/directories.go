package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/ldappassword"
)

// directories makes the LDAP directories. None of them is asked anything yet; one
// without its password is reported, and its steps answer 503.
func (n *Node) directories(l *loaded) (ldappassword.Directories, error) {
	var errs []error
	for name := range n.cfg.Directories {
		if _, ok := l.set.Directories[name]; !ok {
			errs = append(errs, fmt.Errorf("node: directories.%s: the definitions have no such directory", name))
		}
	}
	if source := l.set.ClientsFrom(flowdefs.FromDirectory); source != nil {
		if err := ldappassword.CheckEntries(source.Entries); err != nil {
			errs = append(errs, fmt.Errorf("node: client_sources.%s: %w", source.Name, err))
		}
	}
	all, before, services := ldappassword.Directories{}, n.connected, ldappassword.Services{}
	n.connected = nil
	for _, name := range slices.Sorted(maps.Keys(l.set.Directories)) {
		d := *l.set.Directories[name]
		known := ldappassword.Known{Provision: d.Provision, Binding: d.Binding}
		made, err := n.directory(l, d, n.cfg.Directories[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("node: directory %s: %w", name, err))
		}
		if made != nil {
			known.Verifier, known.Reader, services[name] = made, made, made
			n.connected = append(n.connected, made)
		}
		all[name] = known
	}
	n.services.Store(&services)
	// Requests that are under way go on with what they have.
	return all, errors.Join(append(errs, closeAll(before))...)
}

// serviceClients are those of the directories as they are now.
type serviceClients struct{ n *Node }

// Client implements [flows.ServiceClients].
func (s serviceClients) Client(ctx context.Context, source *flowdefs.ClientSource, id string) (flows.Found, error) {
	return s.n.services.Load().Client(ctx, source, id)
}

// Admit implements [flows.ServiceClients].
func (s serviceClients) Admit(ctx context.Context, source *flowdefs.ClientSource, id, secret string) (flows.Found, error) {
	return s.n.services.Load().Admit(ctx, source, id, secret)
}

func closeAll(all []*ldappassword.Directory) error {
	var errs []error
	for _, d := range all {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// directory returns nil if the password of who searches is not set.
func (n *Node) directory(l *loaded, d flowdefs.Directory, with config.Directory) (*ldappassword.Directory, error) {
	if with.URL != "" {
		d.URL = with.URL
	}
	access := ldappassword.Access{Now: n.opts.Now}
	where := with.BindPassword
	if where.IsZero() && d.BindPassword != nil {
		where = config.Secret{Env: d.BindPassword.Env, File: d.BindPassword.File}
	}
	if !where.IsZero() {
		var err error
		if access.Password, err = where.Read(); err != nil && !errors.Is(err, config.ErrUnset) {
			return nil, err
		}
	}
	if d.BindDN != "" && access.Password == "" {
		l.missing = append(l.missing, d.Name)
		n.opts.Logger.Warn("directory has no password to search with; steps that use it answer 503",
			zap.String("directory", d.Name), zap.Stringer("where", where))
		return nil, nil //nolint:nilnil // see above
	}
	if with.CA != "" {
		pem, err := os.ReadFile(with.CA)
		if err != nil {
			return nil, err
		}
		if access.Roots = x509.NewCertPool(); !access.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", with.CA)
		}
	}
	return ldappassword.NewDirectory(d, access)
}
