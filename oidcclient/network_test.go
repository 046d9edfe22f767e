package oidcclient_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// ask asks for an authorization request, which needs the metadata.
func (w *world) ask(ctx context.Context) error {
	_, err := w.client.AuthorizationRequest(ctx, oidcclient.RequestOptions{RedirectURI: redirectURI})
	return err
}

func (w *world) wantCalls(t testing.TB, endpoint string, want int) {
	t.Helper()
	if n := w.Calls(endpoint); n != want {
		t.Errorf("%d requests to %s, want %d", n, endpoint, want)
	}
}

func TestMetadataAreCached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wantCalls(t, oidctest.EndpointDiscovery, 0) // nothing happens in New
	for _, step := range []struct {
		later time.Duration
		calls int
	}{{0, 1}, {0, 1}, {59 * time.Minute, 1}, {time.Minute, 2}, {time.Second, 2}} {
		w.clock.advance(step.later)
		if err := w.ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wantCalls(t, oidctest.EndpointDiscovery, step.calls)
	}
}

// A provider that is down is not asked by every run, and one that comes back is found.
func TestBackOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.Status(oidctest.EndpointDiscovery, http.StatusServiceUnavailable))
	for _, step := range []struct {
		later time.Duration
		calls int
	}{
		{0, 1},
		{0, 1},
		{999 * time.Millisecond, 1},
		{time.Millisecond, 2},
		{time.Second, 2},
		{time.Second, 3},
		{4 * time.Second, 4},
		{8 * time.Second, 5},
		{16 * time.Second, 6},
		{29 * time.Second, 6},
		{time.Second, 7},
		{30 * time.Second, 8},
	} {
		w.clock.advance(step.later)
		w.wants(t, w.ask(t.Context()), oidcclient.ErrUnavailable, 0)
		w.wantCalls(t, oidctest.EndpointDiscovery, step.calls)
	}
	w.Behave()
	w.clock.advance(30 * time.Second)
	if err := w.ask(t.Context()); err != nil {
		t.Error(err)
	}
}

// What was known before a restart of the provider is used while it lasts.
func TestProviderRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.ask(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Down()
	w.clock.advance(2 * time.Hour)
	if err := w.ask(t.Context()); err != nil {
		t.Errorf("the metadata that were known: %v", err)
	}
	w.clock.advance(23 * time.Hour)
	w.wants(t, w.ask(t.Context()), oidcclient.ErrUnavailable, 0)
	w.Up()
	w.clock.advance(30 * time.Second)
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointDiscovery))
	var wg sync.WaitGroup
	var failed atomic.Int64
	gone, leave := context.WithCancel(t.Context())
	wg.Go(func() {
		if err := w.ask(gone); err == nil {
			t.Error("who gave up got an answer")
		}
	})
	<-gate.Held()
	for range 20 {
		wg.Go(func() {
			if w.ask(t.Context()) != nil {
				failed.Add(1)
			}
		})
	}
	leave() // the first caller; the others must not suffer
	gate.Release()
	wg.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d callers got no answer", failed.Load())
	}
	w.wantCalls(t, oidctest.EndpointDiscovery, 1)
}

// A provider that hangs holds nobody for longer than the timeout.
func TestSlowProvider(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{oidctest.EndpointDiscovery, oidctest.EndpointToken, oidctest.EndpointJWKS} {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *oidcclient.Config) { c.Timeout = 200 * time.Millisecond })
			gate := oidctest.NewGate()
			defer gate.Release()
			w.Misbehave(gate.Hold(endpoint))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := w.ask(ctx)
			if err == nil {
				a := w.request(t, oidcclient.RequestOptions{})
				_, err = w.finish(ctx, a.Request, w.visit(t, a))
			}
			w.wants(t, err, oidcclient.ErrUnavailable, w.Calls(oidctest.EndpointToken))
			if ctx.Err() != nil {
				t.Error("it was the test that gave up")
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	const discovery = oidctest.EndpointDiscovery
	set := func(name string, value any) oidctest.Fault { return oidctest.SetMember(discovery, name, value) }
	tests := []struct {
		name  string
		fault oidctest.Fault
		class error
	}{
		{"T-53 another issuer", set("issuer", "https://evil.example"), oidcclient.ErrRefused},
		{"T-53 no issuer", oidctest.DropMembers(discovery, "issuer"), oidcclient.ErrRefused},
		{"T-52 token_endpoint not https", set("token_endpoint", "http://10.0.0.1/token"), oidcclient.ErrRefused},
		{"T-52 jwks_uri of a file", set("jwks_uri", "file:///etc/passwd"), oidcclient.ErrRefused},
		{"T-52 metadata of the cloud", set("jwks_uri", "http://169.254.169.254/latest"), oidcclient.ErrRefused},
		{"T-52 user", set("token_endpoint", "https://x@10.0.0.1/token"), oidcclient.ErrRefused},
		{"T-52 userinfo not https", set("userinfo_endpoint", "http://10.0.0.1/me"), oidcclient.ErrRefused},
		{"T-52 relative", set("token_endpoint", "/token"), oidcclient.ErrRefused},
		{"fragment", set("authorization_endpoint", "https://idp.example/#x"), oidcclient.ErrRefused},
		{"no token_endpoint", oidctest.DropMembers(discovery, "token_endpoint"), oidcclient.ErrRefused},
		{"no jwks_uri", oidctest.DropMembers(discovery, "jwks_uri"), oidcclient.ErrRefused},
		{"token_endpoint number", set("token_endpoint", 7), oidcclient.ErrUnavailable},
		{"T-58 token_endpoint twice", oidctest.DoubleMember(discovery, "token_endpoint", "https://evil.example"), oidcclient.ErrRefused},
		{"HTML", oidctest.Body(discovery, "text/html", "<h1>Oops</h1>"), oidcclient.ErrUnavailable},
		{"500", oidctest.Status(discovery, http.StatusInternalServerError), oidcclient.ErrUnavailable},
		{"endless", oidctest.Endless(discovery), oidcclient.ErrUnavailable},
		{"cut", oidctest.Cut(discovery), oidcclient.ErrUnavailable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Misbehave(test.fault)
			err := w.ask(t.Context())
			w.wants(t, err, test.class, 0)
			w.Behave()
			w.clock.advance(time.Second)
			if err := w.ask(t.Context()); err != nil {
				t.Errorf("an honest provider afterwards: %v", err)
			}
		})
	}
}

func TestKeys(t *testing.T) { // T-54
	t.Parallel()
	const jwks = oidctest.EndpointJWKS
	for name, fault := range map[string]oidctest.Fault{
		"10000 keys": oidctest.ManyKeys(10000),
		"300 keys":   oidctest.ManyKeys(300),
		"endless":    oidctest.Endless(jwks),
		"HTML":       oidctest.Body(jwks, "text/html", "<h1>Oops</h1>"),
		"502":        oidctest.Status(jwks, http.StatusBadGateway),
		"cut":        oidctest.Cut(jwks),
		"no list":    oidctest.Body(jwks, "application/json", `{"keys":{}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Misbehave(fault)
			_, err := w.signOn(t, oidcclient.RequestOptions{})
			w.wants(t, err, oidcclient.ErrUnavailable, 1)
		})
	}
	t.Run("the old ones are kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Misbehave(oidctest.ManyKeys(300))
		w.clock.advance(11 * time.Minute)
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Error(err)
		}
		w.wantCalls(t, jwks, 2)
		w.clock.advance(50 * time.Minute)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		w.wants(t, err, oidcclient.ErrUnavailable, 3)
	})
	t.Run("one that nobody can read is left out", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
			if endpoint == jwks {
				a.Body = append([]byte(`{"keys":[{"kty":"PQ","kid":"new"},{"kty":"oct","k":"AAAA","kid":"x"},`), a.Body[len(`{"keys":[`):]...)
			}
		}})
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Error(err)
		}
	})
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sign := func() error {
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		return err
	}
	for range 2 {
		if err := sign(); err != nil {
			t.Fatal(err)
		}
	}
	w.wantCalls(t, oidctest.EndpointJWKS, 1)
	if err := w.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if err := sign(); err != nil {
		t.Errorf("a new key: %v", err)
	}
	w.wantCalls(t, oidctest.EndpointJWKS, 2)
}

// An unknown kid is looked for once in ten seconds, however many tokens name one.
func TestUnknownKeyIsLookedForSeldom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.SetHeader("kid", "unknown"))
	for i, step := range []struct {
		later time.Duration
		calls int
	}{{0, 2}, {0, 2}, {9 * time.Second, 2}, {time.Second, 3}, {time.Second, 3}} {
		w.clock.advance(step.later)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		w.wants(t, err, oidcclient.ErrRefused, i+1)
		w.wantCalls(t, oidctest.EndpointJWKS, step.calls)
	}
}

// A key that the provider has withdrawn is not good for ever.
func TestWithdrawnKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := key(t, "ES256")
	jwk, err := old.JWK()
	if err != nil {
		t.Fatal(err)
	}
	w.Misbehave(oidctest.SignedBy(old, false))
	published := atomic.Bool{}
	published.Store(true)
	w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		if endpoint == oidctest.EndpointJWKS && published.Load() {
			a.Body = append(append([]byte(`{"keys":[`), jwk...), "]}"...)
		}
	}})
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Fatal(err)
	}
	published.Store(false)
	w.clock.advance(10 * time.Minute)
	_, err = w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 2)
}

func TestAddresses(t *testing.T) { // T-52
	t.Parallel()
	public := []string{"192.0.2.1:443", "[2001:db8::1]:443", "[64:ff9b::c000:201]:443"}
	private := []string{"10.1.2.3:443", "172.16.0.1:443", "192.168.1.1:443", "[::ffff:10.0.0.1]:443", "[fd00::1]:443", "100.64.0.1:443", "198.18.0.1:443", "[64:ff9b::a00:1]:443"}
	own := []string{"127.0.0.1:443", "[::1]:443", "[::ffff:127.0.0.1]:443"}
	never := []string{
		"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80", "[fe80::1]:443", "0.0.0.0:443", "0.1.2.3:443",
		"[::]:443", "224.0.0.1:443", "255.255.255.255:443", "192.0.0.1:443", "[2002:7f00:1::]:443", "[2001::1]:443", "nonsense",
	}
	for n, allowed := range map[oidcclient.Network][][]string{
		oidcclient.Public:   {public},
		oidcclient.Private:  {public, private},
		oidcclient.Loopback: {public, own},
	} {
		open := slices.Concat(allowed...)
		for _, address := range slices.Concat(public, private, own, never) {
			if err := oidcclient.CheckAddress(address, n); (err == nil) != slices.Contains(open, address) {
				t.Errorf("network %q: %s: %v", n, address, err)
			}
		}
	}
}

// The package's own transport asks before it connects.
func TestAddressIsCheckedWhenDialling(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{}, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- struct{}{}
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"0.0.0.0", "localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"} { // a name is looked at when it is resolved
		p, err := oidcclient.New(oidcclient.Config{Issuer: "https://" + host + ":" + port, ClientID: "stile", Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: redirectURI}); err == nil {
			t.Error("got a request")
		}
	}
	select {
	case <-accepted:
		t.Error("it connected")
	default:
	}
}

// The package's own transport works.
func TestOwnTransport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *oidcclient.Config) { c.Transport = nil })
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
}
