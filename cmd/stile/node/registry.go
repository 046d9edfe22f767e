package node

import (
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps"
)

// Accounts is the repository of accounts that every driver offers.
type Accounts interface {
	steps.Repository
	steps.Authenticators
	users.Creator
}

// accountsOf lets the engine look accounts up.
func accountsOf(b *Base) flows.Accounts { return steps.Accounts(b.Accounts) }

// registry makes the step types of this node.
func (n *Node) registry() (*flows.Registry, error) {
	return flows.NewRegistry(steps.Builtin(steps.Deps{
		Authenticators: n.Base.Accounts, Hasher: n.Base.Hasher, Seeds: n.Base.Sealer, Issuer: n.url,
	})...)
}
