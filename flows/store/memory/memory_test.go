package memory_test

import (
	"testing"

	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/flows/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		t.Helper()
		s := memory.New()
		return storetest.Stores{
			Runs: s, Texts: s, Values: s, Sessions: s, Throttle: s, Marks: s, Kept: s, Clients: s, Audit: s,
			Accounts: s.Accounts(), Authenticators: s.Accounts(), Agreements: s.Accounts(),
		}
	})
}

func BenchmarkSwap(b *testing.B) { storetest.BenchmarkSwap(b, memory.New()) }
