package account

import (
	"bytes"
	"testing"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"
)

// It is the same function as that of x/crypto, which passes the vectors of RFC 9106.
func TestArgon2id(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Params{
			Time: rapid.Uint32Range(1, 4).Draw(t, "passes"), Threads: rapid.Uint8Range(1, 4).Draw(t, "lanes"),
		}
		p.Memory = rapid.Uint32Range(8*uint32(p.Threads), 1200).Draw(t, "memory")
		secret := rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "secret")
		salt := rapid.SliceOfN(rapid.Byte(), 8, 64).Draw(t, "salt")
		size := rapid.IntRange(minTag, 200).Draw(t, "size")
		want := argon2.IDKey(secret, salt, p.Time, p.Memory, p.Threads, uint32(size))
		if got := argon2id(secret, salt, p, size); !bytes.Equal(got, want) {
			t.Fatalf("%+v: %x, want %x", p, got, want)
		}
	})
}

func BenchmarkArgon2id(b *testing.B) {
	p, salt := Params{Memory: 19456, Time: 2, Threads: 1}, make([]byte, saltBytes)
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			argon2id(salt, salt, p, tagBytes)
		}
	})
	b.Run("x/crypto", func(b *testing.B) {
		for b.Loop() {
			argon2.IDKey(salt, salt, p.Time, p.Memory, p.Threads, tagBytes)
		}
	})
}
