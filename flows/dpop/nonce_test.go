package dpop_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/dpop"
)

// RFC 9449 §8, §11.2, §11.3: where nonces are asked for, a proof needs one that this
// server, or another with its key, has handed out in the last minutes.
func TestNonces(t *testing.T) {
	t.Parallel()
	clock := now
	from := func(fill byte) *dpop.Nonces {
		n, err := dpop.NewNonces(bytes.Repeat([]byte{fill}, 32), func() time.Time { return clock })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	own, same, other := from(1), from(1), from(2)
	taken := store{}
	v := verifier(t, func(c *dpop.Config) { c.Nonces, c.Now, c.Taken = own, func() time.Time { return clock }, taken.taken })
	c := es256(t)
	verify := func(nonce any) error {
		c.claims["iat"], c.claims["jti"] = clock.Unix(), clock.String()
		delete(c.claims, "nonce")
		if nonce != nil {
			c.claims["nonce"] = nonce
		}
		_, err := v.Verify(t.Context(), []string{c.proof(t)}, method, target, "")
		return err
	}
	for name, nonce := range map[string]any{"none": nil, "empty": "", "foreign": other.Fresh(), "made up": "eyJ7S_zG.eyJH0-Z.HX4w-7v", "cut": own.Fresh()[:20]} {
		if err := verify(nonce); !errors.Is(err, dpop.ErrNonce) || !errors.Is(err, dpop.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(7); !errors.Is(err, dpop.ErrProof) || errors.Is(err, dpop.ErrNonce) {
		t.Errorf("a number: %v", err)
	}
	if len(taken) > 0 {
		t.Error("a proof that was not taken has left a mark")
	}
	nonce := same.Fresh()
	if err := verify(nonce); err != nil {
		t.Fatalf("a node's of the same key: %v", err)
	}
	clock = clock.Add(2 * time.Minute)
	if err := verify(nonce); err != nil {
		t.Fatalf("two minutes later: %v", err)
	}
	if own.Fresh() == nonce {
		t.Error("it is handed out for ever")
	}
	clock = clock.Add(2 * time.Minute)
	if err := verify(nonce); !errors.Is(err, dpop.ErrNonce) {
		t.Fatalf("four minutes later: %v", err)
	}
	if _, err := dpop.NewNonces([]byte("short"), time.Now); err == nil {
		t.Error("a short key is taken")
	}
}
