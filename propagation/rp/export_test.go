package rp

import "crypto/sha256"

// Memory is where verified tokens are remembered.
type Memory struct{ m *memory }

// NewMemory makes one with room for so many.
func NewMemory(size int) Memory { return Memory{newMemory(size)} }

// Put remembers a token.
func (m Memory) Put(text string) { m.m.put(sha256.Sum256([]byte(text)), remembered{}) }

// Has says whether a token is remembered.
func (m Memory) Has(text string) bool {
	_, ok := m.m.get(sha256.Sum256([]byte(text)))
	return ok
}

// Len is how many are.
func (m Memory) Len() int { return len(m.m.young) + len(m.m.old) }
