package directory_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo/directory"
)

const reader = "cn=stile,dc=example"

func open(t *testing.T) (*directory.Directory, func() *ldap.Conn) {
	t.Helper()
	d, err := directory.Open(reader,
		directory.Entry{DN: reader, Password: "may search"},
		directory.Entry{DN: "cn=a,ou=services,dc=example", Password: "secret of a", Attributes: map[string][]string{"uid": {"a"}, "objectclass": {"account"}, "description": {"x", "y"}}},
		directory.Entry{DN: "cn=b,ou=services,dc=example", Attributes: map[string][]string{"uid": {"b"}, "objectclass": {"account"}}},
		directory.Entry{DN: "cn=c,ou=others,dc=example", Attributes: map[string][]string{"uid": {"c"}, "objectclass": {"account"}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(d.CA)
	return d, func() *ldap.Conn {
		c, err := ldap.DialURL(d.URL, ldap.DialWithTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

func search(base, filter string, most int) *ldap.SearchRequest {
	return ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, most, 0, false, filter, []string{"uid", "Description"}, nil)
}

func TestBinds(t *testing.T) {
	t.Parallel()
	_, dial := open(t)
	c := dial()
	for _, one := range [][2]string{{"cn=a,ou=services,dc=example", "wrong"}, {"cn=b,ou=services,dc=example", "x"}, {"cn=nobody,dc=example", "secret of a"}} {
		if err := c.Bind(one[0], one[1]); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
			t.Errorf("%v: %v", one, err)
		}
	}
	if err := c.Bind("CN=A,ou=services,dc=example", "secret of a"); err != nil {
		t.Error(err)
	}
	if _, err := c.Search(search("dc=example", "(uid=a)", 0)); !ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
		t.Errorf("a searches: %v", err)
	}
}

func TestSearches(t *testing.T) {
	t.Parallel()
	d, dial := open(t)
	c := dial()
	if err := c.Bind(reader, "may search"); err != nil {
		t.Fatal(err)
	}
	found := func(base, filter string) (out []string) {
		t.Helper()
		r, err := c.Search(search(base, filter, 0))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Entries {
			out = append(out, e.GetAttributeValue("uid"))
		}
		return out
	}
	for filter, want := range map[string][]string{
		"(uid=A)":                            {"a"},
		"(uid=*)":                            {"a", "b"},
		"(&(objectClass=account)(!(uid=a)))": {"b"},
		"(|(uid=b)(uid=a))":                  {"a", "b"},
		"(description=y)":                    {"a"},
		"(uid=a*)":                           nil, // which it does not know
	} {
		if got := found("ou=services,dc=example", filter); !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
	if got := found("dc=example", "(objectClass=account)"); len(got) != 3 {
		t.Errorf("%v", got)
	}
	if _, err := c.Search(search("dc=example", "(objectClass=account)", 2)); !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		t.Errorf("more than was asked for: %v", err)
	}
	r, err := c.Search(search("dc=example", "(uid=a)", 2))
	if err != nil || len(r.Entries) != 1 || !cmp.Equal(r.Entries[0].GetEqualFoldAttributeValues("description"), []string{"x", "y"}) {
		t.Errorf("%+v, %v", r, err)
	}
	d.Set("cn=a,ou=services,dc=example", "uid", "renamed")
	if got := found("ou=services,dc=example", "(uid=renamed)"); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
