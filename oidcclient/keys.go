package oidcclient

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keysFresh  = 10 * time.Minute
	keysStale  = time.Hour
	refetch    = 10 * time.Second // between two fetches for an unknown kid
	maxKeys    = 256
	minRSABits = 2048
)

// errNoKey reports that the key set was had, and none of it fits.
var errNoKey = refused("ID token: no published key fits")

// published is one key. Some that many tenants share say whose tokens they sign.
type published struct {
	jose.JSONWebKey
	issuer string // "": of any that the provider has; may hold {tenantid}
}

// signs says whether the key signs for that issuer.
func (k published) signs(issuer, template string) bool {
	return k.issuer == "" || k.issuer == issuer || template != "" && k.issuer == template
}

// keys are the issuer's published keys.
type keys struct {
	cache *cache[[]published]
	now   func() time.Time

	mu   sync.Mutex
	next time.Time // no fetch for an unknown kid before
}

func newKeys(now func() time.Time, fetch func(context.Context) ([]published, error)) *keys {
	return &keys{cache: newCache(keysFresh, keysStale, now, fetch), now: now}
}

// find returns the key that a token of that header is to be verified with.
func (k *keys) find(ctx context.Context, h header) (crypto.PublicKey, error) {
	all, err := k.cache.get(ctx)
	if err != nil {
		return nil, err
	}
	key := choose(all, h)
	if key == nil && k.mayRefetch() {
		if all, err = k.cache.renew(ctx); err != nil {
			return nil, err
		}
		key = choose(all, h)
	}
	if key != nil {
		return key, nil
	}
	if err := k.cache.failing(); err != nil { // perhaps one fits that cannot be had now
		return nil, err
	}
	return nil, errNoKey
}

func (k *keys) mayRefetch() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if now.Before(k.next) {
		return false
	}
	k.next = now.Add(refetch)
	return true
}

// choose returns the one key that fits; nil if there is none, or more than one.
// A token may leave kid out only where that leaves no choice (Core §10.1).
func choose(all []published, h header) crypto.PublicKey {
	var found crypto.PublicKey
	for _, key := range all {
		if h.KeyID != nil && key.KeyID != *h.KeyID || !fits(key.JSONWebKey, h.Algorithm) || !key.signs(h.issuer, h.template) {
			continue
		}
		if found != nil {
			return nil
		}
		found = key.Key
	}
	return found
}

// fits reports whether a key may be used with an algorithm: one key, one algorithm.
func fits(key jose.JSONWebKey, alg string) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	if key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return curveAlgorithm(k) == alg || alg == "ES512" && k.Params().Name == "P-521"
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// curveAlgorithm is the algorithm of keys on that curve; "" if it is not used here.
func curveAlgorithm(k *ecdsa.PublicKey) string {
	return map[string]string{"P-256": "ES256", "P-384": "ES384"}[k.Params().Name]
}

// fetchKeys gets the key set (RFC 7517 §5). Keys that cannot be read are left
// out, as §5 wants; private and symmetric ones are of no use here.
func (p *Provider) fetchKeys(ctx context.Context) ([]published, error) {
	m, err := p.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	body, err := p.getJSON(ctx, p.lookup, "keys", m.Keys, tokens{})
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil || len(set.Keys) > maxKeys {
		return nil, unavailable("keys: not a key set")
	}
	var usable []published
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		var whose struct {
			Issuer string `json:"issuer"`
		}
		if json.Unmarshal(raw, &key) == nil && json.Unmarshal(raw, &whose) == nil && key.IsPublic() && key.Valid() {
			usable = append(usable, published{key, whose.Issuer})
		}
	}
	return usable, nil
}

// getJSON gets a document. who carries its access token, if it takes one.
func (p *Provider) getJSON(ctx context.Context, client *http.Client, what, address string, who tokens) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, unavailable(what + ": not an address")
	}
	if who.access != "" {
		req.Header.Set("Authorization", who.scheme+" "+who.access)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, networkError(what, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{what, resp.StatusCode, resp.Header.Get("WWW-Authenticate")}
	}
	body, err := io.ReadAll(resp.Body) // in memory already, and within bounds
	if err != nil {
		return nil, networkError(what, err)
	}
	return body, nil
}
