package oidcclient_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

func proofs(c *oidctest.Config)          { c.DPoP = true }
func proofsWithNonce(c *oidctest.Config) { c.DPoP, c.DPoPNonce = true, true }
func proves(c *oidcclient.Config)        { c.DPoP, c.UserInfo = true, true }

func TestBoundTokens(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]idp{"without nonce": proofs, "with nonces": proofsWithNonce} {
		w := newWorld(t, server, proves, func(c *oidctest.Config) { c.PAR = true })
		a := w.request(t, oidcclient.RequestOptions{})
		if text, err := json.Marshal(a.Parameters); err != nil || strings.Contains(string(text), string(a.Request.ProofKey)) {
			t.Errorf("%s: the key is shown, %v", name, err)
		}
		id, err := w.finish(t.Context(), a.Request, w.visit(t, a))
		if err != nil || id.Email == "" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	w := newWorld(t, proofsWithNonce, proves, func(c *oidcclient.Config) { c.Authentication = oidcclient.Authentication{Secret: secret} })
	for range 2 {
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Error(err)
		}
	}
	if n := w.Calls(oidctest.EndpointToken); n != 3 { // the nonce is known by then
		t.Errorf("%d token requests", n)
	}
}

// A code that is bound to a key is worth nothing to who has another.
func TestCodeIsBoundToTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, proofs, proves)
	a := w.request(t, oidcclient.RequestOptions{})
	query := w.visit(t, a)
	other := a.Request
	other.ProofKey = w.request(t, oidcclient.RequestOptions{}).Request.ProofKey
	_, err := w.finish(t.Context(), other, query)
	w.wants(t, err, oidcclient.ErrRefused, 1)
	for _, key := range [][]byte{nil, []byte("nonsense")} {
		other.ProofKey = key
		_, err = w.finish(t.Context(), other, query)
		w.wants(t, err, oidcclient.ErrResponse, 1)
	}
}

func TestTokensThatAreNotBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, proves) // it takes proofs, and says that it has bound nothing
	w.Misbehave(oidctest.SetMember(oidctest.EndpointToken, "token_type", "Bearer"))
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)

	w = newWorld(t, proofs, proves)
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "dpop_signing_alg_values_supported", []string{"ES512"}))
	w.wants(t, w.ask(t.Context()), oidcclient.ErrUnavailable, 0)

	w = newWorld(t) // who has asked for none is not given any
	w.Misbehave(oidctest.SetMember(oidctest.EndpointToken, "token_type", "DPoP"))
	_, err = w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
}

// A server that always wants another nonce is asked twice, not for ever.
func TestNoncesWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, proofs, proves)
	w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		if endpoint == oidctest.EndpointToken {
			a.Status, a.Body = http.StatusBadRequest, []byte(`{"error":"use_dpop_nonce"}`)
			a.Header.Set("DPoP-Nonce", "again")
		}
	}})
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrUnavailable, 2)
}

func byHand(w *world) *oidcclient.Endpoints {
	return &oidcclient.Endpoints{
		Authorization: w.Issuer() + "/authorize", Token: w.Issuer() + "/token", Keys: w.Issuer() + "/jwks", UserInfo: w.Issuer() + "/userinfo",
	}
}

func TestEndpointsByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.client = w.newClient(t, func(c *oidcclient.Config) { c.Endpoints = byHand(w) })
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
	w.wantCalls(t, oidctest.EndpointDiscovery, 0)
	w.client = w.newClient(t, func(c *oidcclient.Config) {
		c.Endpoints = byHand(w)
		c.Endpoints.Token = "http://10.0.0.1/token"
	})
	w.wants(t, w.ask(t.Context()), oidcclient.ErrRefused, 1)
}
