//go:build unix

package ldappassword_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/ldappassword"
)

const serviceSecret = "a password of a service"

func services() *flowdefs.ClientSource {
	return &flowdefs.ClientSource{
		Name: "services", From: flowdefs.FromDirectory, Targets: []string{"orders"}, Grants: []string{flowdefs.GrantClient},
		Scopes: []string{"orders.read", "orders.write"}, Auth: []string{flowdefs.AuthBasic},
		Entries: &flowdefs.Entries{
			Directory: "staff", Base: "ou=services,dc=bank,dc=example", ObjectClass: "inetOrgPerson", ID: "uid",
			Filter: "(!(employeeType=retired))", Scope: "description", GroupBase: "ou=groups,dc=bank,dc=example", Member: "member",
			Scopes: map[string]string{"writers": "orders.write", "directors": "orders.approve"},
		},
	}
}

// A service has the scopes of its entry and of its groups, as far as its source allows them.
func TestServices(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	all := ldappassword.Services{"staff": open(t, definition("ldaps://"+s.tls), s.roots, nil)}
	want := flows.Found{Dropped: 1, Client: &flowdefs.Client{
		ID: "svc-batch", Targets: []string{"orders"},
		OAuth: &flowdefs.OAuth{Grants: []string{flowdefs.GrantClient}, Auth: flowdefs.AuthBasic, Scopes: []string{"orders.read", "orders.write"}},
	}}
	for name, ask := range map[string]func() (flows.Found, error){
		"admitted": func() (flows.Found, error) { return all.Admit(t.Context(), services(), "svc-batch", serviceSecret) },
		"there":    func() (flows.Found, error) { return all.Client(t.Context(), services(), "svc-batch") },
	} {
		got, err := ask()
		want.Flows = got.Flows // none
		if diff := cmp.Diff(want, got); err != nil || diff != "" || len(got.Flows) > 0 {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	for name, c := range map[string][2]string{
		"wrong secret":         {"svc-batch", serviceSecret + "x"},
		"no secret":            {"svc-batch", ""},
		"another spelling":     {"SVC-batch", serviceSecret},
		"a pattern":            {"svc-b*", serviceSecret},
		"a filter":             {"svc-batch)(uid=*", serviceSecret},
		"nobody":               {"svc-none", serviceSecret},
		"no name":              {"", serviceSecret},
		"a person":             {"jane", secret},
		"one that is filtered": {"svc-retired", serviceSecret},
		"one that is twice":    {"svc-twice", serviceSecret},
	} {
		if got, err := all.Admit(t.Context(), services(), c[0], c[1]); !errors.Is(err, flows.ErrNotFound) || got.Client != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, id := range []string{"svc-retired", "svc-twice", "SVC-batch", "svc-none"} {
		if got, err := all.Client(t.Context(), services(), id); !errors.Is(err, flows.ErrNotFound) {
			t.Errorf("%s is there: %+v, %v", id, got, err)
		}
	}
	if _, err := (ldappassword.Services{}).Admit(t.Context(), services(), "svc-batch", serviceSecret); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("without the directory: %v", err)
	}
}

// A directory that does not answer says nothing about anybody: neither yes nor no.
func TestServicesWhileTheDirectoryIsDown(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	all := ldappassword.Services{"staff": open(t, definition("ldaps://"+s.tls), s.roots, nil)}
	if err := s.process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the last ones are not sent
		for _, id := range []string{"svc-batch", "svc-none"} {
			if _, err := all.Admit(t.Context(), services(), id, serviceSecret); !errors.Is(err, flows.ErrUnavailable) || errors.Is(err, flows.ErrNotFound) {
				t.Errorf("%s: %v", id, err)
			}
			if _, err := all.Client(t.Context(), services(), id); !errors.Is(err, flows.ErrUnavailable) {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
}

func TestEntriesThatNoDirectoryReads(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*flowdefs.Entries){
		"base":   func(e *flowdefs.Entries) { e.Base = "nowhere" },
		"groups": func(e *flowdefs.Entries) { e.GroupBase = "nowhere" },
		"filter": func(e *flowdefs.Entries) { e.Filter = "(|)x(" },
	} {
		e := *services().Entries
		if err := ldappassword.CheckEntries(&e); err != nil {
			t.Fatal(err)
		}
		if edit(&e); ldappassword.CheckEntries(&e) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
