package node

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps"
	"github.com/stile-auth/stile/steps/consent"
	"github.com/stile-auth/stile/steps/httpcall"
	"github.com/stile-auth/stile/steps/ldappassword"
	"github.com/stile-auth/stile/steps/sso"
)

// Accounts is the repository of accounts that every driver offers.
type Accounts interface {
	steps.Repository
	steps.Authenticators
	sso.Accounts
	consent.Agreements
	users.Standing
	ldappassword.Accounts
}

// accountsOf lets the engine look accounts up.
func accountsOf(b *Base) flows.Accounts { return steps.Accounts(b.Accounts) }

// registry makes the step types of this node for those definitions.
func (n *Node) registry(l *loaded) (*flows.Registry, error) {
	providers, err := n.providers(l)
	if err != nil {
		return nil, err
	}
	l.remote = providers
	directories, err := n.directories(l)
	if err != nil {
		return nil, err
	}
	passkeys, err := n.party()
	if err != nil {
		return nil, err
	}
	devices, err := n.devices()
	if err != nil {
		return nil, err
	}
	all, err := flows.NewRegistry(steps.Builtin(steps.Deps{
		Passkeys: passkeys, Devices: devices,
		Authenticators: n.Base.Accounts, Hasher: n.Base.Hasher, Passwords: n.Base.Rules, Seeds: n.Base.Sealer, Codes: n.Base.codes, Issuer: n.url,
		Directories: directories, Entries: n.Base.Accounts,
		Providers: providers, Links: n.Base.Accounts, Accounts: n.Base.Accounts, Agreements: n.Base.Accounts,
		Calls: httpcall.Config{Private: n.cfg.Calls.PrivateHosts, Env: os.Getenv},
	})...)
	if silent := sending(l.set, all); err == nil && n.outbox == nil && n.cfg.Definitions != "" && len(silent) > 0 {
		n.opts.Logger.Warn("nothing carries messages (delivery.by); steps that send answer 503", zap.Strings("flows", silent))
	}
	return all, err
}

// sending names the flows that have a step that sends something, sorted.
func sending(set *flowdefs.Set, all *flows.Registry) []string {
	var has func(nodes []flowdefs.Node) bool
	has = func(nodes []flowdefs.Node) bool {
		return slices.ContainsFunc(nodes, func(d flowdefs.Node) bool {
			t, known := all.Lookup(d.Type)
			return known && t.Sends || has(d.Options) || has(d.Steps) || d.Otherwise != nil && has([]flowdefs.Node{*d.Otherwise})
		})
	}
	var out []string
	for name, f := range set.Flows {
		if has(f.Steps) || slices.ContainsFunc(f.Handlers, func(h flowdefs.Handler) bool { return has(h.Steps) }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// providers makes the remote providers. None of them is asked anything yet; one
// without its secret is reported, and its steps answer 503.
func (n *Node) providers(l *loaded) (sso.Providers, error) {
	var errs []error
	for name := range n.cfg.Providers {
		if _, ok := l.set.Providers[name]; !ok {
			errs = append(errs, fmt.Errorf("node: providers.%s: the definitions have no such provider", name))
		}
	}
	all := sso.Providers{}
	for _, name := range slices.Sorted(maps.Keys(l.set.Providers)) {
		p, err := n.provider(l, *l.set.Providers[name], n.cfg.Providers[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("node: provider %s: %w", name, err))
		}
		all[name] = p
	}
	return all, errors.Join(errs...)
}
