package contract_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
)

// hearer is a relying party that hears of logouts.
type hearer struct {
	server *httptest.Server
	told   chan string
}

func newHearer(t *testing.T) *hearer {
	t.Helper()
	h := &hearer{told: make(chan string, 100)}
	h.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.RawQuery != "logout=backchannel" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		h.told <- r.PostFormValue("logout_token")
	}))
	t.Cleanup(h.server.Close)
	return h
}

// told is a world whose relying party "listener" hears of logouts; "shop" does not.
func told(t *testing.T, store string) (*world, *hearer) {
	t.Helper()
	h := newHearer(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})))
	w := newWorld(t, t, setup{
		definitions: shop(fmt.Sprintf(`  listener:
    flows: [sign-in, sso]
    targets: [orders, sso-orders]
    redirect_uris: ["https://listener.example/back"]
    dpop: optional
    oauth:
      grants: [authorization_code, refresh_token]
      auth: client_secret_basic
      secret_hash: %s
      scopes: [openid, offline_access]
      backchannel_logout_uri: %q
`, hashed(shopSecret), h.server.URL+"/bye?logout=backchannel")), store: store,
		more: fmt.Sprintf("relying_parties: { network: loopback, ca: %q }\n", ca),
	})
	t.Cleanup(func() { w.close(t) })
	return w, h
}

// hears waits for a logout token and checks it as a relying party does (OpenID Connect Back-Channel Logout 1.0 §2.6).
func (h *hearer) hears(t *testing.T, p *party) logoutClaims {
	t.Helper()
	var text string
	select {
	case text = <-h.told:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody tells it")
	}
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	must(t, err)
	if typ := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType]; typ != "logout+jwt" {
		t.Errorf("it is of the type %v", typ)
	}
	verified, err := p.provider.Verifier(p.checks()).Verify(t.Context(), text)
	must(t, err)
	var all map[string]any
	var c logoutClaims
	must(t, verified.Claims(&all))
	must(t, verified.Claims(&c))
	if _, there := all["nonce"]; there || len(c.Events) != 1 || c.Events["http://schemas.openid.net/event/backchannel-logout"] == nil ||
		c.ID == "" || c.Expires-c.Issued > 120 || c.Expires <= c.Issued {
		t.Errorf("it says %v", all)
	}
	return c
}

type logoutClaims struct {
	Subject string                    `json:"sub"`
	Session string                    `json:"sid"`
	ID      string                    `json:"jti"`
	Issued  int64                     `json:"iat"`
	Expires int64                     `json:"exp"`
	Events  map[string]map[string]any `json:"events"`
}

func (h *hearer) nothing(t *testing.T) {
	t.Helper()
	select {
	case <-h.told:
		t.Error("it is told once more")
	default:
	}
}

// signedOn is a browser that has signed on at the listener, the ID token and what it says.
func signedOn(t *testing.T, w *world, scopes ...string) (p *party, b *visitor, hint string, said idToken) {
	t.Helper()
	p = newParty(t, w, "listener", shopSecret, "https://listener.example/back", append(scopes, "openid")...)
	b = newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.signIn()
	token, err := p.trade(b.code())
	must(t, err)
	hint, _ = token.Extra("id_token").(string)
	return p, b, hint, p.reads(t, token)
}

// Whoever got tokens on a session is told when somebody signs out, also where another one is
// who led them there; what was told is recorded, and the refresh token is good no more.
func TestPartiesHearOfLogouts(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]string{
		"Back-Channel Logout 2.4: whoever got tokens is told":              "memory",
		"Back-Channel Logout 2.4: whoever got tokens is told, from a file": "sqlite",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, h := told(t, store)
			p, b, _, said := signedOn(t, w)
			b.open(p.address("resource", "https://orders.example")) // once more, in the same session
			token, err := p.trade(b.code())
			must(t, err)
			other := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
			b.open(other.address("resource", "https://orders.example"))
			more, err := other.trade(b.code())
			must(t, err)
			hint, _ := more.Extra("id_token").(string)
			h.nothing(t)
			b.open(w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {hint}}.Encode())
			c := h.hears(t, p)
			if c.Session != said.SID || c.Subject != said.Subject {
				t.Errorf("%+v of the session %s of %s", c, said.SID, said.Subject)
			}
			token.Expiry = time.Unix(1, 0)
			if _, err := p.TokenSource(t.Context(), token).Token(); !isError(err, "invalid_grant") {
				t.Errorf("a refresh token of a session that has ended: %v", err)
			}
			// The next session is another one.
			_, b, hint, said = signedOn(t, w)
			b.open(w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {hint}}.Encode())
			if second := h.hears(t, p); second.Session != said.SID || second.ID == c.ID {
				t.Errorf("%+v, before it %+v", second, c)
			}
			h.nothing(t)
			eventually(t, w, flows.EventLogoutTold, 2)
		})
	}
}

// eventually waits until so many events of a type are recorded.
func eventually(t *testing.T, w *world, what string, n int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		seen := 0
		for _, e := range w.events(t) {
			if e.Type == what {
				seen++
			}
		}
		if seen == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events %s, want %d", seen, what, n)
		}
	}
}

// A session ends in other ways, too: whoever ends it, its relying parties are told. One that
// expires has ended when everybody knew that it would.
func TestPartiesHearHoweverItEnds(t *testing.T) {
	t.Parallel()
	ends := map[string]func(t *testing.T, w *world, said idToken){
		"Back-Channel Logout 2.5: disabled by an administrator": func(t *testing.T, w *world, _ idToken) {
			r, err := w.node.Base.Registrar("Stile", w.clock.now)
			must(t, err)
			_, err = r.Enable(t.Context(), login, false)
			must(t, err)
		},
		"Back-Channel Logout 2.5: password set by an administrator": func(t *testing.T, w *world, _ idToken) {
			r, err := w.node.Base.Registrar("Stile", w.clock.now)
			must(t, err)
			_, err = r.SetPassword(t.Context(), users.Password{Login: login, Password: "another canary of five hills"})
			must(t, err)
		},
		"Back-Channel Logout 2.5: ended by its ID": func(t *testing.T, w *world, said idToken) {
			must(t, w.node.Base.Store.EndSession(t.Context(), said.SID))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, h := told(t, "memory")
			w.addOther(t)
			p, _, _, said := signedOn(t, w)
			w.clock.pass(time.Second)
			end(t, w, said)
			wake(t, w)
			if c := h.hears(t, p); c.Session != said.SID {
				t.Errorf("%+v, not of %s", c, said.SID)
			}
		})
	}
	t.Run("Back-Channel Logout 2.5: nobody is told of one that has expired", func(t *testing.T) {
		t.Parallel()
		w, h := told(t, "memory")
		w.addOther(t)
		signedOn(t, w)
		w.clock.pass(13 * time.Hour)
		p, b, hint, said := johns(t, w)
		b.open(w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {hint}}.Encode())
		if c := h.hears(t, p); c.Session != said.SID {
			t.Errorf("it is told of a session that has expired: %+v", c)
		}
		h.nothing(t)
	})
}

// johns is John's browser, signed on at the listener.
func johns(t *testing.T, w *world) (p *party, b *visitor, hint string, said idToken) {
	t.Helper()
	p = newParty(t, w, "listener", shopSecret, "https://listener.example/back", "openid")
	b = newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.submit(map[string]string{"username": "john", "password": password})
	token, err := p.trade(b.code())
	must(t, err)
	hint, _ = token.Extra("id_token").(string)
	return p, b, hint, p.reads(t, token)
}

// wake has the node look for what ended elsewhere: somebody signs out of a session that nobody was given tokens on.
func wake(t *testing.T, w *world) {
	t.Helper()
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.submit(map[string]string{"username": "john", "password": password})
	token, err := p.trade(b.code())
	must(t, err)
	hint, _ := token.Extra("id_token").(string)
	b.open(w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {hint}}.Encode())
	b.shows(http.StatusOK, "You are signed out.")
}

// The metadata says so.
func TestBackChannelIsAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	t.Run("Back-Channel Logout 2.1: the metadata say so", func(t *testing.T) {
		t.Parallel()
		text := w.get(t, "/.well-known/openid-configuration")
		for _, want := range []string{`"backchannel_logout_supported":true`, `"backchannel_logout_session_supported":true`} {
			if !strings.Contains(strings.ReplaceAll(text, " ", ""), want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
	})
}
