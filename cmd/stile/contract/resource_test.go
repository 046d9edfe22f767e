package contract_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/rp"
)

// resource is a guarded one, which has its keys from the node over HTTP.
type resource struct {
	w   *world
	url string
}

func newResource(t *testing.T, w *world) *resource {
	t.Helper()
	guard, err := rp.New(rp.Config{Issuer: w.node.URL(), Audience: "https://rp.example", Keys: newResourceKeys(t, w), Now: w.clock.now})
	must(t, err)
	server := httptest.NewServer(guard.Require(rp.Rule{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	t.Cleanup(server.Close)
	return &resource{w, server.URL}
}

// answers says how a request with that token is answered.
func (r *resource) answers(t *testing.T, token string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, http.NoBody)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != want {
		t.Errorf("%d, want %d", resp.StatusCode, want)
	}
}

// token is one of a run of its own.
func (r *resource) token(t *testing.T) string {
	t.Helper()
	p := newPhone(t, r.w, "phone")
	p.key = nil // a bearer token
	p.start("target", "low")
	return p.finish()
}

// A resource follows the keys of a real node: while it turns them over, while it is
// down, and when it is back.
func TestResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: strings.Replace(assuranceFlows, "redirect_uris:", "dpop: optional, redirect_uris:", 1), fixed: true, store: "sqlite"})
	r := newResource(t, w)
	first := r.token(t)
	r.answers(t, first, http.StatusOK)
	r.answers(t, first+"x", http.StatusUnauthorized)

	next, err := propagation.GenerateKey(propagation.ES256)
	must(t, err)
	keeper := w.node.Base.Keeper(w.cfg)
	kept, err := keeper.Load(t.Context())
	must(t, err)
	turned, err := kept.Replace(next, w.clock.now())
	must(t, err)
	must(t, keeper.Store(t.Context(), kept, turned))
	w.close(t)
	w.start(t) // and signs with the new key
	second := r.token(t)
	r.answers(t, second, http.StatusOK) // not waited for: an unknown key is looked for
	r.answers(t, first, http.StatusOK)  // the old key is still published

	w.close(t)
	r.answers(t, second, http.StatusOK) // what was known is used while it lasts
	w.clock.pass(time.Minute)
	unknown, err := propagation.GenerateKey(propagation.ES256)
	must(t, err)
	if _, err := newResourceKeys(t, w).Find(t.Context(), unknown.ID(), "ES256"); err == nil {
		t.Error("a node that nobody has heard of has keys")
	}
	newResource(t, w).answers(t, second, http.StatusServiceUnavailable)

	w.start(t)
	defer w.close(t)
	w.clock.pass(time.Minute)
	r.answers(t, r.token(t), http.StatusOK)
}

func newResourceKeys(t *testing.T, w *world) *oidcclient.Keys {
	t.Helper()
	keys, err := oidcclient.NewKeys(oidcclient.KeysConfig{Issuer: w.node.URL(), Network: oidcclient.Loopback, Now: w.clock.now})
	must(t, err)
	return keys
}
