package provider_test

import (
	"fmt"
	"testing"

	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/provider"
)

func keySet(t *testing.T) (*propagation.Key, *propagation.KeySet) {
	t.Helper()
	k, err := propagation.GenerateKey(propagation.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := propagation.NewKeySet(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, set
}

// What was verified is verified as long as its key is ours, and not longer.
func TestSeen(t *testing.T) {
	t.Parallel()
	key, set := keySet(t)
	_, other := keySet(t)
	var m provider.Seen
	if got := m.Get("token", set); got != "" {
		t.Errorf("nothing was verified: %q", got)
	}
	m.Put("token", key)
	if got := m.Get("token", set); got != "token" {
		t.Errorf("verified a moment ago: %q", got)
	}
	if got := m.Get("token", other); got != "" {
		t.Errorf("its key was taken back: %q", got)
	}
	if got := m.Get("tokeN", set); got != "" {
		t.Errorf("another one: %q", got)
	}
}

// It remembers so many and no more: those that came lately.
func TestSeenIsBounded(t *testing.T) {
	t.Parallel()
	key, set := keySet(t)
	var m provider.Seen
	m.Put("often", key)
	for i := range 3 * provider.MostSeen {
		m.Put(fmt.Sprint(i), key)
		if i%1000 == 0 && m.Get("often", set) == "" {
			t.Fatalf("what comes often is forgotten after %d", i)
		}
	}
	n := 0
	for i := range 3 * provider.MostSeen {
		if m.Get(fmt.Sprint(3*provider.MostSeen-1-i), set) != "" {
			n++
		}
	}
	if n > provider.MostSeen || n < provider.MostSeen/2-1 {
		t.Errorf("it remembers %d", n)
	}
}
