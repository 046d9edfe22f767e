package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows/seal"
)

func key(id string) seal.Key {
	return seal.Key{ID: id, Secret: bytes.Repeat([]byte(id[:1]), seal.KeySize)}
}

func sealer(t testing.TB, active seal.Key, old ...seal.Key) *seal.Sealer {
	t.Helper()
	s, err := seal.New(active, old...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, s *seal.Sealer, plaintext, aad string) []byte {
	t.Helper()
	b, err := s.Seal([]byte(plaintext), []byte(aad))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s := sealer(t, key("a"))
	for _, plaintext := range []string{"", "x", strings.Repeat("long", 10_000)} {
		for _, aad := range []string{"", "run 1"} {
			got, err := s.Open(sealed(t, s, plaintext, aad), []byte(aad))
			if err != nil || string(got) != plaintext {
				t.Errorf("Open = %.10q, %v; want %.10q", got, err, plaintext)
			}
		}
	}
}

func TestSealHidesAndNeverRepeats(t *testing.T) {
	t.Parallel()
	s := sealer(t, key("a"))
	one, two := sealed(t, s, "a well known text", ""), sealed(t, s, "a well known text", "")
	if bytes.Contains(one, []byte("well known")) {
		t.Error("the plaintext shows")
	}
	if bytes.Equal(one, two) {
		t.Error("the same value twice")
	}
}

func TestOpenRefusesEveryChange(t *testing.T) {
	t.Parallel()
	s := sealer(t, key("a1"), key("b1"), key("a2"))
	good := sealed(t, s, "secret", "place")
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if got, err := s.Open(bad, []byte("place")); !errors.Is(err, seal.ErrOpen) {
				t.Errorf("byte %d bit %d: Open = %q, %v", i, bit, got, err)
			}
		}
		if got, err := s.Open(good[:i], []byte("place")); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("first %d bytes: Open = %q, %v", i, got, err)
		}
	}
	if got, err := s.Open(append(good, 0), []byte("place")); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("longer: Open = %q, %v", got, err)
	}
}

func TestOpenRefusesAnotherPlace(t *testing.T) {
	t.Parallel()
	s := sealer(t, key("a"))
	good := sealed(t, s, "secret", "place")
	for _, aad := range []string{"", "Place", "place ", "plac"} {
		if got, err := s.Open(good, []byte(aad)); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("aad %q: Open = %q, %v", aad, got, err)
		}
	}
}

// The same secret under another id is another key: the id is authenticated.
func TestOpenAuthenticatesTheHeader(t *testing.T) {
	t.Parallel()
	one, two := key("a1"), key("a2") // same secret
	s := sealer(t, one, two)
	bad := sealed(t, s, "secret", "")
	copy(bad[2:], "a2")
	if got, err := s.Open(bad, nil); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("Open = %q, %v", got, err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	before := sealed(t, sealer(t, key("a")), "secret", "")
	rotated := sealer(t, key("b"), key("a"))
	if got, err := rotated.Open(before, nil); err != nil || string(got) != "secret" {
		t.Errorf("old key: Open = %q, %v", got, err)
	}
	after := sealed(t, rotated, "secret", "")
	if got, err := sealer(t, key("a")).Open(after, nil); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("unknown key: Open = %q, %v", got, err)
	}
	if got, err := sealer(t, key("b")).Open(after, nil); err != nil || string(got) != "secret" {
		t.Errorf("new key alone: Open = %q, %v", got, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	short := key("a")
	short.Secret = short.Secret[:16]
	long := key(strings.Repeat("a", 256))
	tests := map[string][]seal.Key{
		"no id":          {{Secret: key("a").Secret}},
		"long id":        {long},
		"no secret":      {{ID: "a"}},
		"short secret":   {short},
		"bad old key":    {key("b"), short},
		"same id twice":  {key("a"), key("a")},
		"same among old": {key("a"), key("b"), key("b")},
	}
	for name, keys := range tests {
		if s, err := seal.New(keys[0], keys[1:]...); err == nil {
			t.Errorf("%s: New = %v, want an error", name, s)
		}
	}
	sealer(t, key(strings.Repeat("a", 255)))
}

func TestDerive(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{0x0b}, 22)
	derive := func(secret []byte, label string) string {
		k, err := seal.Derive(secret, label)
		if err != nil {
			t.Fatal(err)
		}
		if len(k) != seal.KeySize {
			t.Fatalf("%d bytes", len(k))
		}
		return hex.EncodeToString(k)
	}
	// RFC 5869 with an empty salt, worked out by hand from HMAC-SHA-256.
	const want = "aff095ec2d2a30bb312b44a7f83c8267cec3e051615754fd2c64de22d82eb2c2"
	if got := derive(secret, "runs"); got != want {
		t.Errorf("Derive = %s, want %s", got, want)
	}
	if derive(secret, "runs") == derive(secret, "accounts") {
		t.Error("labels do not separate")
	}
	if derive(secret, "runs") == derive(bytes.Repeat([]byte{0x0c}, 22), "runs") {
		t.Error("secrets do not separate")
	}
	if _, err := seal.Derive(secret[:15], "runs"); err == nil {
		t.Error("a short secret is taken")
	}
	if _, err := seal.Derive(secret, ""); err == nil {
		t.Error("no label is taken")
	}
}

func FuzzOpen(f *testing.F) {
	s := sealer(f, key("a"))
	f.Add(sealed(f, s, "secret", "")) // the only text that was ever sealed
	f.Add([]byte{})
	f.Add([]byte{1, 255, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := s.Open(b, nil)
		if err == nil && string(got) != "secret" {
			t.Errorf("%x opens to %q", b, got)
		}
		if err != nil && (!errors.Is(err, seal.ErrOpen) || got != nil) {
			t.Errorf("Open = %q, %v", got, err)
		}
	})
}
