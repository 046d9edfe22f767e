package oidcclient_test

import (
	"strings"
	"testing"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// tenants is a provider with an issuer for each tenant.
func tenants(tenant string) idp {
	return func(c *oidctest.Config) {
		c.Shape = &oidctest.Shape{
			Issuer: "https://login.example/common", TokenIssuer: "https://login.example/{tenantid}", Tenant: tenant, Metadata: map[string]any{},
			Endpoints: map[string]string{
				"authorize": "https://login.example/common/authorize", "token": "https://login.example/common/token", "jwks": "https://login.example/common/keys",
			},
		}
	}
}

func (w *world) ofTenants(t testing.TB, changes ...any) {
	t.Helper()
	w.road = w.Transport()
	w.client = w.newClient(t, append([]any{func(c *oidcclient.Config) {
		c.Issuer, c.TokenIssuer, c.Transport, c.Network = "https://login.example/common", "https://login.example/{tenantid}", w.road, oidcclient.Public
	}}, changes...)...)
}

func TestTenants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, tenants("bank"))
	w.ofTenants(t)
	id, err := w.signOn(t, oidcclient.RequestOptions{})
	if err != nil || id.Issuer != "https://login.example/bank" {
		t.Fatalf("%+v, %v", id, err)
	}
	w.ofTenants(t, func(c *oidcclient.Config) { c.Tenants = []string{"bank"} })
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		tenant string
		fault  oidctest.Fault
	}{
		"another tenant":             {"other", oidctest.Fault{}},
		"T-91 the issuer of another": {"bank", oidctest.SetClaim("iss", "https://login.example/other")},
		"tid of another":             {"other", oidctest.SetClaim("tid", "bank")},
		"no tid":                     {"bank", oidctest.DropClaims("tid")},
		"tid twice":                  {"bank", oidctest.DuplicateClaim("tid", "other")},
		"a path for a tid":           {"a/../bank", oidctest.Fault{}},
		"the place itself":           {"bank", oidctest.SetClaim("iss", "https://login.example/{tenantid}")},
	} {
		w := newWorld(t, tenants(test.tenant))
		w.ofTenants(t, func(c *oidcclient.Config) { c.Tenants = []string{"bank"} })
		w.Misbehave(test.fault)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		if w.wants(t, err, oidcclient.ErrRefused, 1); err == nil {
			t.Error(name)
		}
	}
	w = newWorld(t, tenants("a/../bank"))
	w.ofTenants(t) // which takes any
	_, err = w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
	w = newWorld(t, tenants("bank"))
	w.ofTenants(t)
	w.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "issuer", "https://login.example/common"))
	w.wants(t, w.ask(t.Context()), oidcclient.ErrRefused, 0)
}

// A key that says whose tokens it signs signs nobody else's.
func TestKeysOfTenants(t *testing.T) {
	t.Parallel()
	for says, class := range map[string]error{
		"": nil, "https://login.example/{tenantid}": nil, "https://login.example/bank": nil,
		"https://login.example/other": oidcclient.ErrRefused, "https://evil.example/{tenantid}": oidcclient.ErrRefused,
	} {
		w := newWorld(t, tenants("bank"), func(c *oidctest.Config) { c.Shape.KeyIssuer = says })
		w.ofTenants(t)
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		if class == nil && err != nil {
			t.Errorf("%q: %v", says, err)
		}
		if class != nil {
			w.wants(t, err, class, 1)
		}
	}
	w := newWorld(t)
	w.Misbehave(oidctest.Fault{Answer: func(endpoint string, a *oidctest.Answer) {
		if endpoint == oidctest.EndpointJWKS {
			a.Body = []byte(strings.ReplaceAll(string(a.Body), `{"use"`, `{"issuer":"https://evil.example","use"`))
		}
	}})
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrRefused, 1)
}
