package httpapi_test

import (
	"crypto/rand"
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
		"wrong handles": func(w *world, from string) int { return w.from(from, http.MethodGet, "/v1/flow", "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *httpapi.Config) { c.Limit = httpapi.Limit{PerSecond: 1, Burst: 20} })
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
