package oidcclient_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

const (
	redirectURI = "com.bank.app:/oauth2"
	secret      = "canary of/the:client+secret%"
)

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a provider, and us as its relying party.
type world struct {
	*oidctest.Provider
	clock  *clock
	wire   *http.Transport
	road   http.RoundTripper // the browser's, if not wire
	client *oidcclient.Provider
}

type (
	idp = func(*oidctest.Config)
	rp  = func(*oidcclient.Config)
)

func newWorld(t testing.TB, changes ...any) *world {
	t.Helper()
	w := &world{clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, wire: &http.Transport{DisableKeepAlives: true}}
	server := oidctest.Config{
		Now:     w.clock.Now,
		Clients: []oidctest.Client{{ID: "stile", Secret: secret, RedirectURIs: []string{redirectURI}}},
		CodeTTL: 24 * time.Hour, AccessTokenTTL: 24 * time.Hour,
	}
	for _, c := range changes {
		if f, ok := c.(idp); ok {
			f(&server)
		}
	}
	var err error
	if w.Provider, err = oidctest.Start(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	w.client = w.newClient(t, changes...)
	return w
}

func (w *world) newClient(t testing.TB, changes ...any) *oidcclient.Provider {
	t.Helper()
	cfg := oidcclient.Config{
		Issuer: w.Issuer(), ClientID: "stile", Authentication: oidcclient.Authentication{Secret: secret}, Scopes: []string{"email"},
		Network: oidcclient.Loopback, Transport: w.wire, Now: w.clock.Now,
	}
	for _, c := range changes {
		if f, ok := c.(rp); ok {
			f(&cfg)
		}
	}
	p, err := oidcclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// request asks for an authorization request.
func (w *world) request(t testing.TB, o oidcclient.RequestOptions) oidcclient.Authorization {
	t.Helper()
	o.RedirectURI = redirectURI
	a, err := w.client.AuthorizationRequest(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// visit is the person with the browser: it returns the query that the app gets.
func (w *world) visit(t testing.TB, a oidcclient.Authorization) string {
	t.Helper()
	road := w.road
	if road == nil {
		road = w.wire
	}
	b, err := browser.New(browser.Config{Transport: road})
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.Open(t.Context(), a.URL)
	if err != nil {
		t.Fatal(err)
	}
	who := oidctest.DefaultUser()
	for range 3 {
		if page.Handed != nil {
			break
		}
		button, values := "Allow", map[string]string(nil)
		if a.Mode == oidcclient.ModeFormPost && len(page.Forms) == 1 && page.Forms[0].Has("state") {
			button = "Continue"
		} else if _, err := page.Form("password"); err == nil {
			button, values = "Sign in", map[string]string{"username": who.Username, "password": who.Password}
		}
		if page, err = page.Submit(t.Context(), button, values); err != nil {
			t.Fatal(err)
		}
	}
	if page.Handed == nil {
		t.Fatalf("nothing was handed to the app, but a page was shown: %s", page.Body)
	}
	if page.Handed.Fragment != "" {
		return page.Handed.EscapedFragment()
	}
	if page.Posted != nil {
		return page.Posted.Encode()
	}
	return page.Handed.RawQuery
}

// finish gives the client what the browser brought back.
func (w *world) finish(ctx context.Context, r oidcclient.Request, query string) (oidcclient.Identity, error) {
	code, err := w.client.Receive(ctx, r, query)
	if err != nil {
		return oidcclient.Identity{}, err
	}
	return w.client.Redeem(ctx, r, code)
}

// signOn is a whole sign-on.
func (w *world) signOn(t testing.TB, o oidcclient.RequestOptions) (oidcclient.Identity, error) {
	t.Helper()
	a := w.request(t, o)
	query := w.visit(t, a)
	id, err := w.finish(t.Context(), a.Request, query)
	if err != nil {
		quiet(t, err, a.Request, query)
	}
	return id, err
}

// quiet fails the test if the error tells a secret.
func quiet(t testing.TB, err error, r oidcclient.Request, query string) {
	t.Helper()
	secrets := []string{secret, r.State, r.Nonce, r.Verifier}
	for pair := range strings.SplitSeq(query, "&") {
		if _, value, _ := strings.Cut(pair, "="); len(value) > 12 {
			secrets = append(secrets, value)
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

// wants checks the class of an error and how often the token endpoint was asked.
func (w *world) wants(t testing.TB, err, class error, tokenCalls int) {
	t.Helper()
	wantsClass(t, err, class)
	if n := w.Calls(oidctest.EndpointToken); n != tokenCalls {
		t.Errorf("%d token requests, want %d", n, tokenCalls)
	}
}

// wantsClass checks that an error is of that class and of no other.
func wantsClass(t testing.TB, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("got %v, want %v", err, class)
	}
	for _, other := range []error{oidcclient.ErrIncomplete, oidcclient.ErrResponse, oidcclient.ErrRefused, oidcclient.ErrUnavailable} {
		if !errors.Is(class, other) && errors.Is(err, other) {
			t.Errorf("%v is also %v", err, other)
		}
	}
}
