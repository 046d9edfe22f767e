package rp_test

import (
	"context"
	"crypto"
	"net/http"
	"testing"
	"time"

	"github.com/stile-auth/stile/propagation/rp"
)

// counted are keys that say how often a token was really verified.
type counted struct {
	*world
	key   crypto.PublicKey // in place of the issuer's
	gone  bool
	asked int
}

func (c *counted) Find(ctx context.Context, id, alg string) (crypto.PublicKey, error) {
	c.asked++
	if c.gone {
		return nil, nil
	}
	if c.key != nil {
		return c.key, nil
	}
	return c.world.Find(ctx, id, alg)
}

// A token that was verified is good until it ends, and while its key is the issuer's.
func TestRememberedTokens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*counted, *time.Time)
		status int
	}{
		"nothing":               {func(*counted, *time.Time) {}, 0},
		"it expires":            {func(_ *counted, at *time.Time) { *at = now.Add(5 * time.Minute) }, http.StatusUnauthorized},
		"its key is taken back": {func(k *counted, _ *time.Time) { k.gone = true }, http.StatusUnauthorized},
		"its key is another":    {func(k *counted, _ *time.Time) { k.key = newKey(t).Public() }, http.StatusUnauthorized},
		"nobody can tell":       {func(k *counted, _ *time.Time) { k.down = true }, http.StatusServiceUnavailable},
	} {
		w, at := newWorld(t), now
		k := &counted{world: w}
		w.cfg.Keys, w.cfg.Remember, w.cfg.Now = k, 2, func() time.Time { return at }
		g := w.guard()
		r := request("Bearer "+w.sign(w.parts()), "")
		if _, err := g.Check(r, rp.Rule{}); err != nil {
			t.Fatal(err)
		}
		c.change(k, &at)
		_, err := g.Check(r, rp.Rule{})
		if c.status == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		code := "invalid_token"
		if c.status == http.StatusServiceUnavailable {
			code = "temporarily_unavailable"
		}
		refused(t, err, c.status, code)
	}
}

// What is remembered has passed no rule, and stands for no proof.
func TestRememberedTokensAreAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Remember = 2
	g, token := w.guard(), w.bound()
	proof := w.proof(token, nil)
	if _, err := g.Check(request("DPoP "+token, proof), rp.Rule{}); err != nil {
		t.Fatal(err)
	}
	_, err := g.Check(request("DPoP "+token, proof), rp.Rule{})
	refused(t, err, http.StatusUnauthorized, "invalid_dpop_proof")
	_, err = g.Check(request("Bearer "+token, ""), rp.Rule{})
	refused(t, err, http.StatusUnauthorized, "invalid_token")
	_, err = g.Check(request("DPoP "+token, w.proof(token, nil)), rp.Rule{Scopes: []string{"admin"}})
	refused(t, err, http.StatusForbidden, "insufficient_scope")
	_, err = g.Check(request("DPoP "+token+"x", w.proof(token+"x", nil)), rp.Rule{})
	refused(t, err, http.StatusUnauthorized, "invalid_token")
}

// As many tokens are remembered as there is room for, and those that are used stay.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m := rp.NewMemory(10)
	m.Put("kept")
	for i := range 1000 {
		m.Put(string(rune('a' + i)))
		if !m.Has("kept") {
			t.Fatalf("forgotten after %d others", i)
		}
		if n := m.Len(); n > 11 {
			t.Fatalf("%d are remembered", n)
		}
	}
	if m.Has("a") {
		t.Error("an old one is remembered")
	}
}
