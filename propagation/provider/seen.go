package provider

import (
	"crypto"
	"crypto/sha256"
	"sync"

	"github.com/stile-auth/stile/propagation"
)

// mostSeen is how many access tokens are remembered once their signature is verified: some MB.
const mostSeen = 4096

// seen remembers whose signature was verified, and nothing else: time, session, account
// and client are looked at each time. It has two halves, and when the young one is
// full the old one is forgotten. Safe for concurrent use.
type seen struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]signed
}

// signed is a token and the key that has signed it.
type signed struct {
	said
	by        string
	algorithm string
	key       crypto.PublicKey
}

// get is what the token says, if its signature was verified by a key that is still ours.
func (m *seen) get(id [sha256.Size]byte, set *propagation.KeySet) (said, bool) {
	m.mu.Lock()
	t, ok := m.young[id]
	if !ok {
		if t, ok = m.old[id]; ok {
			m.keep(id, t)
		}
	}
	m.mu.Unlock()
	if !ok {
		return said{}, false
	}
	for _, k := range set.Keys() {
		if k.ID() != t.by || k.Algorithm() != t.algorithm {
			continue
		}
		same, ok := k.Public().(interface{ Equal(x crypto.PublicKey) bool })
		return t.said, ok && same.Equal(t.key)
	}
	return said{}, false
}

func (m *seen) put(id [sha256.Size]byte, t signed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(id, t)
}

func (m *seen) keep(id [sha256.Size]byte, t signed) {
	if len(m.young) >= mostSeen/2 || m.young == nil {
		m.old, m.young = m.young, map[[sha256.Size]byte]signed{}
	}
	m.young[id] = t
}
