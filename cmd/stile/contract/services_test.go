package contract_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stile-auth/stile/cmd/stile/demo/directory"
)

const (
	ldapReader = "cn=stile,dc=bank,dc=example"
	batchDN    = "cn=batch,ou=services,dc=bank,dc=example"
)

// serviced is a world whose service accounts stand in a directory.
func serviced(t *testing.T) (*world, *directory.Directory) {
	t.Helper()
	d, err := directory.Open(ldapReader,
		directory.Entry{DN: ldapReader, Password: "may search"},
		directory.Entry{DN: batchDN, Password: "canary of a batch", Attributes: map[string][]string{
			"objectclass": {"account"}, "uid": {"batch"}, "description": {"orders.read customers.read"},
		}},
		directory.Entry{DN: "cn=shop,ou=services,dc=bank,dc=example", Password: "canary of a batch", Attributes: map[string][]string{
			"objectclass": {"account"}, "uid": {"shop"}, "description": {"orders.read"},
		}},
	)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() }) // one that is down already
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.pem"), string(d.CA))
	write(t, filepath.Join(dir, "password"), "may search")
	w := newWorld(t, t, setup{
		definitions: shop(`directories:
  staff: { url: "ldaps://ldap.example", bind_dn: "` + ldapReader + `", bind_password: { file: none }, base: "dc=bank,dc=example" }
client_sources:
  services:
    { from: directory, directory: staff, base: "ou=services,dc=bank,dc=example", object_class: account, filter: "(!(l=retired))", scope_attribute: description,
      grants: [client_credentials], targets: [orders], scopes: [orders.read], dpop: optional }
`),
		more: fmt.Sprintf("directories: { staff: { url: %q, ca: %q, bind_password: { file: %q } } }\n", d.URL, filepath.Join(dir, "ca.pem"), filepath.Join(dir, "password")),
	})
	t.Cleanup(func() { w.close(t) })
	return w, d
}

// A service account gets what its entry says and its source allows, for as long as it stands there.
func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	w, d := serviced(t)
	status, out := w.asService(t, "batch", "canary of a batch", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read customers.read"}})
	if status != http.StatusOK || out["scope"] != "orders.read" || !w.active(t, out["access_token"]) {
		t.Fatalf("%d %v", status, out)
	}
	for name, c := range map[string]struct {
		id, secret string
		form       url.Values
		status     int
		code       string
	}{
		"wrong secret":     {"batch", "guessed", nil, http.StatusUnauthorized, "invalid_client"},
		"empty secret":     {"batch", "", nil, http.StatusUnauthorized, "invalid_client"},
		"nobody":           {"nobody", "canary of a batch", nil, http.StatusUnauthorized, "invalid_client"},
		"other spelling":   {"BATCH", "canary of a batch", nil, http.StatusUnauthorized, "invalid_client"},
		"taken name":       {"shop", "canary of a batch", nil, http.StatusUnauthorized, "invalid_client"},
		"for people":       {"batch", "canary of a batch", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}}, http.StatusBadRequest, "unauthorized_client"},
		"another target":   {"batch", "canary of a batch", url.Values{"grant_type": {"client_credentials"}, "resource": {"https://sso-orders.example"}}, http.StatusBadRequest, "invalid_target"},
		"what it says too": {"batch", "canary of a batch", url.Values{"grant_type": {"client_credentials"}, "scope": {"customers.read"}}, http.StatusBadRequest, "invalid_scope"},
	} {
		if status, out := w.asService(t, c.id, c.secret, c.form); status != c.status || out["error"] != c.code {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	b := newVisitor(t, w)
	if b.open(w.node.URL() + "/oauth2/authorize?client_id=batch&redirect_uri=https%3A%2F%2Fx.example"); b.gone != nil || b.status != http.StatusBadRequest {
		t.Errorf("it sends people here: %d %v", b.status, b.gone)
	}
	d.Set(batchDN, "l", "retired")
	if w.active(t, out["access_token"]) {
		t.Error("the token of a service that was retired is active")
	}
	if status, _ := w.asService(t, "batch", "canary of a batch", nil); status != http.StatusUnauthorized {
		t.Errorf("one that was retired: %d", status)
	}
}

// While the directory is down nobody is refused, and nobody let in.
func TestServiceAccountsWithoutTheDirectory(t *testing.T) {
	t.Parallel()
	w, d := serviced(t)
	_, out := w.asService(t, "batch", "canary of a batch", nil)
	token, _ := out["access_token"].(string)
	must(t, d.Close())
	for _, id := range []string{"batch", "nobody"} {
		if status, out := w.asService(t, id, "canary of a batch", nil); status != http.StatusServiceUnavailable || out["error"] != "temporarily_unavailable" {
			t.Errorf("%s: %d %v", id, status, out)
		}
	}
	if status, out := w.direct(t, "/oauth2/introspect", url.Values{"token": {token}}, true); status != http.StatusServiceUnavailable {
		t.Errorf("introspection: %d %v", status, out)
	}
	if status, _ := w.asService(t, "shop", shopSecret, url.Values{"grant_type": {"client_credentials"}, "resource": {"https://orders.example"}}); status != http.StatusOK {
		t.Errorf("clients of the definitions need no directory: %d", status)
	}
}

// Guesses at the secret of a service are slowed down, also of one that is not there.
func TestServiceAccountsAreThrottled(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"batch", "nobody"} {
		w, _ := serviced(t)
		slowed := 0
		for range 25 {
			status, out := w.asService(t, id, "guessed", nil)
			if status == http.StatusTooManyRequests && out["error"] == "temporarily_unavailable" {
				slowed++
			} else if status != http.StatusUnauthorized {
				t.Fatalf("%s: %d %v", id, status, out)
			}
		}
		if slowed != 5 {
			t.Errorf("%s: %d of 25 were slowed down", id, slowed)
		}
	}
}
