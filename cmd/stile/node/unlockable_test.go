package node_test

import (
	"slices"
	"testing"

	"github.com/stile-auth/stile/cmd/stile/node"
)

// What can be locked until an administrator acts, an administrator can unlock.
func TestEverythingThatLocksCanBeUnlocked(t *testing.T) {
	t.Parallel()
	catalogue, err := node.Catalogue()
	check(t, err)
	for _, typ := range catalogue.Types() {
		if typ.Guessable && !slices.Contains(node.Guessable(), typ.Authenticator) {
			t.Errorf("%s locks %q, which stile users unlock does not know", typ.Name, typ.Authenticator)
		}
	}
}
