package httpapi_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows/httpapi"
)

// A flood of starts, or of handles that are not right, ends in 429 for the
// address that sends it, and for no other (T-12b).
func TestFloodFromOneAddress(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(w *world, from string) int{
		"starts": func(w *world, from string) int {
			return w.from(from, http.MethodPost, "/v1/flows", `{"clientId":"app","flow":"f"}`)
		},
		"sign-ins of a browser": func(w *world, from string) int { return w.from(from, http.MethodGet, "/oauth2/authorize", "") },
		"wrong handles":         func(w *world, from string) int { return w.from(from, http.MethodGet, "/v1/flow", "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *httpapi.Config) {
				c.Limit = httpapi.Limit{PerSecond: 1, Burst: 20}
				c.OAuth = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			})
			throttled := 0
			for range 200 {
				if send(w, "192.0.2.1:1234") == http.StatusTooManyRequests {
					throttled++
				}
			}
			if throttled < 150 {
				t.Errorf("%d of 200 were throttled", throttled)
			}
			if got := send(w, "192.0.2.2:1234"); got == http.StatusTooManyRequests {
				t.Error("another address is throttled as well")
			}
		})
	}
}

// from sends a request from an address and returns the status of the answer.
func (w *world) from(address, method, path, body string) int {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = address
	r.Header.Set("X-Forwarded-For", rand.Text()) // which anybody can write
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	w.ServeHTTP(answer, r)
	return answer.Code
}

// Budgets are kept by what one customer has, and not at all for what proxies and
// networks of one's own are known by.
func TestNetworks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.77:1234": "203.0.113.0/24", "[2001:db8:1:2:3::4]:1234": "2001:db8:1:2::/64", "[::ffff:203.0.113.77]:1": "203.0.113.0/24",
		"127.0.0.1:1234": "", "[::1]:1": "", "10.1.2.3:1": "", "192.168.1.1:1": "", "[fe80::1%eth0]:1": "", "[fd00::1]:1": "", "@": "",
	} {
		w := newWorld(t, func(*httpapi.Config) {})
		r := httptest.NewRequest(http.MethodGet, "/v1/flow", nil)
		r.RemoteAddr = address
		r.Header.Set("Authorization", "Flow "+goodHandle)
		w.ServeHTTP(httptest.NewRecorder(), r)
		if len(w.engine.calls) != 1 || w.engine.calls[0].Caller.Network != want {
			t.Errorf("%s: %+v, want %q", address, w.engine.calls, want)
		}
	}
}

// Who has one address of IPv6 has as many as they like: they share one budget.
func TestLimitOfANetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *httpapi.Config) { c.Limit = httpapi.Limit{PerSecond: 1, Burst: 20} })
	throttled := 0
	for i := range 100 {
		if w.from(fmt.Sprintf("[2001:db8::%x]:1", i+1), http.MethodGet, "/v1/flow", "") == http.StatusTooManyRequests {
			throttled++
		}
	}
	if throttled < 70 {
		t.Errorf("%d of 100 were throttled", throttled)
	}
}
