package contract_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/cmd/stile/users"
)

// A refresh token that outlives its session does not outlive a password that others had:
// whoever waits until the end of the sessions is forgotten waits in vain.
func TestPasswordEndsWhatOutlivesTheSession(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{time.Hour, 26 * time.Hour, 20 * 24 * time.Hour} {
		t.Run(wait.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: shop("")})
			t.Cleanup(func() { w.close(t) })
			p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid", "offline_access")
			b := newVisitor(t, w)
			b.open(p.address("resource", "https://orders.example"))
			b.signIn()
			token, err := p.trade(b.code())
			must(t, err)
			w.clock.pass(time.Minute)
			r, err := w.node.Base.Registrar("Stile", w.clock.now)
			must(t, err)
			_, err = r.SetPassword(t.Context(), users.Password{Login: login, Password: "another one that nobody knows"})
			must(t, err)
			w.clock.pass(wait)
			if _, told := w.direct(t, "/oauth2/introspect", url.Values{"token": {token.RefreshToken}}, true); told["active"] != false {
				t.Errorf("active: %v", told)
			}
			if _, err := p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); !isError(err, "invalid_grant") {
				t.Errorf("refreshed: %v", err)
			}
		})
	}
}

// What a target asks of people nobody has shown who acts for itself.
func TestClientsReachNoTargetThatAsksForPeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	for _, resource := range []string{"https://payments.example", ""} {
		status, out := w.direct(t, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "resource": {resource}}, true)
		if status != http.StatusBadRequest || out["error"] != "invalid_target" || out["access_token"] != nil {
			t.Errorf("%q: %d %v", resource, status, out)
		}
	}
}
