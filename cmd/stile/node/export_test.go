package node

import (
	"context"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flows/seal"
)

// SweepOnce removes what has expired now instead of within a minute.
func (n *Node) SweepOnce(ctx context.Context) { n.sweepOnce(ctx) }

// Derived returns the pepper and the decoy key of a master key, and what its sealer makes of a text.
func Derived(master, text []byte) (pepper, decoy, sealed []byte, err error) {
	k, err := derive(master)
	if err != nil {
		return nil, nil, nil, err
	}
	sealed, err = k.sealer.Seal(text, nil)
	return k.pepper, k.decoy, sealed, err
}

// ReloadIfChanged looks at the folder now instead of within two seconds.
func (n *Node) ReloadIfChanged() { n.reloadIfChanged() }

// Proofs are the verdicts that a node keeps.
type Proofs struct{ *proofs }

// OpenProofs opens those of a data folder.
func OpenProofs(dir string, sealer *seal.Sealer, log *zap.Logger) Proofs {
	return Proofs{openProofs(dir, sealer, log)}
}

// Store writes them.
func (p Proofs) Store() { p.store() }

// BudgetOf makes the budget of messages out of a configuration.
var BudgetOf = budgetOf

// GuessesOf makes the budget of wrong answers out of a configuration.
var GuessesOf = guessesOf
