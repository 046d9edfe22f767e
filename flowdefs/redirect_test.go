package flowdefs_test

import (
	"testing"

	"github.com/stile-auth/stile/flowdefs"
)

// A browser comes back to one of the client's own places and to none that looks
// like it (T-34); on the same machine the port is the app's (RFC 8252 §7.3).
func TestRedirects(t *testing.T) {
	t.Parallel()
	c := flowdefs.Client{RedirectURIs: []string{"https://app.example/cb", "com.bank.app:/cb", "http://127.0.0.1/cb", "http://[::1]:9000/cb", "http://localhost:8080/cb"}}
	for _, uri := range []string{
		"https://app.example/cb", "com.bank.app:/cb", "http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", "http://[::1]:1/cb", "http://[::1]/cb", "http://localhost:8080/cb",
	} {
		if !c.Redirects(uri) {
			t.Errorf("%s is not taken", uri)
		}
	}
	for _, uri := range []string{
		"", "https://app.example/CB", "https://APP.example/cb", "https://app.example:8443/cb", "https://app.example/cb?x=1", "https://app.example/cb#x", "https://app.example/cb/",
		"https://app.example/x/../cb", "https://app.example@evil.example/cb", "https://app.example.evil.example/cb", "//app.example/cb", `\\app.example/cb`, "http://app.example/cb",
		"javascript:alert(1)", "com.bank.app:/cb/x", "com.bank.app:cb", "COM.bank.app:/cb",
		"http://127.0.0.1:51004/cb?x=1", "http://127.0.0.1:51004/cb#x", "http://127.0.0.1:51004/", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:x/cb",
		"http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1.evil.example:80/cb", "http://127.0.0.2:80/cb", "https://127.0.0.1:80/cb", "http://127.0.0.1:/cb", "http://127.1:80/cb",
		"http://[::2]:9000/cb", "http://localhost:8081/cb", "http://localhost/cb", "http://127.0.0.1:51004/cb\n", "http://127.0.0.1:51004/cb x",
	} {
		if c.Redirects(uri) {
			t.Errorf("%q is taken", uri)
		}
	}
}

// A provider with a place of its own comes back there, others to where the app is.
func TestRedirectFor(t *testing.T) {
	t.Parallel()
	c := flowdefs.Client{
		RedirectURIs:      []string{"com.bank.app:/cb", "http://127.0.0.1/cb"},
		ProviderRedirects: map[string]string{"own": "com.bank.app:/own", "local": "http://127.0.0.1/local"},
	}
	for _, tt := range []struct{ provider, app, want string }{
		{"other", "", "com.bank.app:/cb"},
		{"other", "http://127.0.0.1:51004/cb", "http://127.0.0.1:51004/cb"},
		{"own", "", "com.bank.app:/own"},
		{"own", "http://127.0.0.1:51004/cb", "com.bank.app:/own"},
		{"local", "http://127.0.0.1:51004/cb", "http://127.0.0.1:51004/local"},
		{"local", "com.bank.app:/cb", "http://127.0.0.1/local"},
	} {
		if got := c.RedirectFor(tt.provider, tt.app); got != tt.want {
			t.Errorf("%s at %q: %s, expected %s", tt.provider, tt.app, got, tt.want)
		}
	}
}
