package provider

import (
	"crypto/sha256"

	"github.com/stile-auth/stile/propagation"
)

// Seen is the memory of verified signatures.
type Seen struct{ seen }

// Put remembers that a key of ours has signed a token of that subject.
func (m *Seen) Put(text string, k *propagation.Key) {
	m.put(sha256.Sum256([]byte(text)), signed{said{Subject: text}, k.ID(), k.Algorithm(), k.Public()})
}

// Get is the subject, "" if nothing is remembered.
func (m *Seen) Get(text string, set *propagation.KeySet) string {
	t, _ := m.get(sha256.Sum256([]byte(text)), set)
	return t.Subject
}

// MostSeen is how many are remembered.
const MostSeen = mostSeen
