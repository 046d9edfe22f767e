package flowdefs_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
)

const sourced = `
flows:
  f: { steps: [{ id: a, type: password }] }
targets:
  t: { flow: f, propagate: { type: bearer_jwt, audience: "https://t.example" } }
  u: { flow: f, propagate: { type: bearer_jwt, audience: "https://u.example" } }
directories:
  staff: { url: "ldaps://ldap.example", base: "dc=example" }
client_sources:
  partners:
    { from: store, flows: [f], targets: [t], grants: [authorization_code, client_credentials], auth: [client_secret_basic], scopes: [read], refresh: 1h, dpop: optional, requires: { acr: aal2 } }
  services:
    from: directory
    directory: staff
    base: ou=services,dc=example
    filter: (ou=services)
    scope_attribute: description
    groups: { base: "ou=groups,dc=example", scopes: { readers: read } }
    grants: [client_credentials]
    targets: [t]
    scopes: [read, write]
`

func loadSourced(t *testing.T) *flowdefs.Set {
	t.Helper()
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(sourced)}}, ".", builtin(t))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestClientSources(t *testing.T) {
	t.Parallel()
	got := loadSourced(t).ClientsFrom(flowdefs.FromDirectory)
	got.Pos = flowdefs.Pos{}
	want := &flowdefs.ClientSource{
		Name: "services", From: "directory", Targets: []string{"t"}, Grants: []string{"client_credentials"}, Scopes: []string{"read", "write"},
		Auth: []string{"client_secret_basic"}, Refresh: 720 * time.Hour, DPoPRequired: true,
		Entries: &flowdefs.Entries{
			Directory: "staff", Base: "ou=services,dc=example", ObjectClass: "inetOrgPerson", ID: "uid", Filter: "(ou=services)", Scope: "description",
			GroupBase: "ou=groups,dc=example", Member: "member", Scopes: map[string]string{"readers": "read"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

var aHash = strings.Repeat("0a", 32)

// A client of the store has what its text says and its source allows: no more of either.
func TestStoredClientsAreBounded(t *testing.T) {
	t.Parallel()
	set := loadSourced(t)
	text := `{"flows":["f"],"targets":["t","u"],"redirect_uris":["https://p.example/cb"],"dpop":"optional",
		"oauth":{"auth":"client_secret_basic","secret_hash":["` + aHash + `"],"grants":["authorization_code","refresh_token"],"scopes":["read","write"],"refresh":"48h"}}`
	c, dropped, err := set.StoredClient("partner", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != "partner" || dropped != 3 || !cmp.Equal(c.Targets, []string{"t"}) || !cmp.Equal(c.OAuth.Grants, []string{"authorization_code"}) ||
		!cmp.Equal(c.OAuth.Scopes, []string{"read"}) || c.OAuth.Refresh != time.Hour || !cmp.Equal(c.OAuth.Secrets, []string{aHash}) {
		t.Errorf("client %+v %+v, %d dropped", c, c.OAuth, dropped)
	}
	if c.Least.ACR != "aal2" {
		t.Errorf("requires at least %+v", c.Least)
	}
	if set.Clients["partner"] != nil {
		t.Error("reading a client has changed the definitions")
	}
	for name, text := range map[string]string{
		"no YAML":             `{`,
		"nothing":             ``,
		"unknown key":         `{"flows":["f"],"admin":"yes"}`,
		"unknown target":      `{"targets":["x"]}`,
		"plain redirect":      `{"flows":["f"],"redirect_uris":["http://p.example/cb"]}`,
		"not a way":           `{"targets":["t"],"oauth":{"auth":"none","grants":["authorization_code"]},"redirect_uris":["https://p.example/cb"]}`,
		"three secrets":       `{"targets":["t"],"oauth":{"auth":"client_secret_basic","grants":["client_credentials"],"secret_hash":["` + aHash + `","` + strings.Repeat("1a", 32) + `","` + strings.Repeat("2a", 32) + `"]}}`,
		"no secret in a list": `{"targets":["t"],"oauth":{"auth":"client_secret_basic","grants":["client_credentials"],"secret_hash":[]}}`,
	} {
		if c, _, err := set.StoredClient("partner", []byte(text)); err == nil {
			t.Errorf("%s: read as %+v", name, c)
		}
	}
	if _, _, err := set.StoredClient("Not a name", []byte(text)); !errors.As(err, &flowdefs.Problems{}) {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestWithoutASourceNoClientIsStored(t *testing.T) {
	t.Parallel()
	set := loadSourced(t)
	delete(set.ClientSources, "partners")
	if c, _, err := set.StoredClient("partner", []byte(`{"flows":["f"]}`)); err == nil {
		t.Errorf("read as %+v", c)
	}
}
