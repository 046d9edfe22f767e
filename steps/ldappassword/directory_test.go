//go:build unix

package ldappassword_test

import (
	"crypto/x509"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/ldappassword"
)

const (
	secret = "correct horse battery staple"
	janeID = "11111111-1111-4111-8111-111111111111"
)

func definition(url string) flowdefs.Directory {
	return flowdefs.Directory{
		Name: "staff", URL: url, BindDN: "cn=stile,dc=bank,dc=example", Base: "ou=people,dc=bank,dc=example",
		ObjectClass: "inetOrgPerson", Logins: []string{"uid", "mail"}, ID: "entryUUID",
		Attributes: map[string]string{"branch": "departmentNumber", "title": "title"},
		GroupBase:  "ou=groups,dc=bank,dc=example", Member: "member", Roles: map[string]string{"tellers": "teller", "directors": "director"},
	}
}

func open(t testing.TB, d flowdefs.Directory, roots *x509.CertPool, edit func(*ldappassword.Access)) *ldappassword.Directory {
	t.Helper()
	a := ldappassword.Access{Password: "search for people", Roots: roots, Now: time.Now}
	if edit != nil {
		edit(&a)
	}
	dir, err := ldappassword.NewDirectory(d, a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	want := ldappassword.Entry{ID: janeID, Attributes: map[string]string{"branch": "Zurich", "title": "", "roles": "teller"}}
	for name, url := range map[string]string{"LDAPS": "ldaps://" + s.tls, "StartTLS": "ldap://" + s.starttls} {
		dir := open(t, definition(url), s.roots, nil)
		for _, login := range []string{"jane", "JANE"} {
			got, err := dir.ByLogin(t.Context(), login, secret)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: %s: %v\n%s", name, login, err, diff)
			}
		}
		if got, err := dir.ByID(t.Context(), janeID, secret); err != nil || got.ID != janeID {
			t.Errorf("%s: by ID: %+v, %v", name, got, err)
		}
	}
}

// What is typed is data: neither filters nor names of entries can be made of it.
func TestWrong(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	dir := open(t, definition("ldaps://"+s.tls), s.roots, nil)
	for name, c := range map[string][2]string{
		"wrong password":     {"jane", "correct horse battery stapler"},
		"empty password":     {"jane", ""},
		"NUL at the end":     {"jane", secret + "\x00"},
		"nobody":             {"jack", secret},
		"no login":           {"", secret},
		"two entries":        {"jane@bank.example", secret},
		"star":               {"*", secret},
		"prefix":             {"jan*", secret},
		"closes the filter":  {"*)(uid=*", secret},
		"or":                 {"x)(|(uid=jane)", secret},
		"NUL":                {"jane\x00", secret},
		"escape":             {`jane\2a`, secret},
		"DN":                 {janeDN, secret},
		"service account":    {"stile", "search for people"},
		"no UTF-8":           {"jane\xff", secret},
		"another's password": {"jane", "search for people"},
	} {
		if got, err := dir.ByLogin(t.Context(), c[0], c[1]); !errors.Is(err, account.ErrWrong) {
			t.Errorf("%s: %+v, %v; want ErrWrong", name, got, err)
		}
	}
	for _, id := range []string{"", "*", "jane", "22222222-2222-4222-8222-22222222222"} {
		if got, err := dir.ByID(t.Context(), id, secret); !errors.Is(err, account.ErrWrong) {
			t.Errorf("ID %q: %+v, %v; want ErrWrong", id, got, err)
		}
	}
}

// Whoever cannot be verified gets no password.
func TestStrangersDirectory(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	for name, open := range map[string]func() *ldappassword.Directory{
		"another authority": func() *ldappassword.Directory { return open(t, definition("ldaps://"+s.tls), x509.NewCertPool(), nil) },
		"StartTLS with another authority": func() *ldappassword.Directory {
			return open(t, definition("ldap://"+s.starttls), x509.NewCertPool(), nil)
		},
		"wrong service password": func() *ldappassword.Directory {
			return open(t, definition("ldaps://"+s.tls), s.roots, func(a *ldappassword.Access) { a.Password = "wrong" })
		},
		"nobody listens": func() *ldappassword.Directory { return open(t, definition("ldaps://"+freePort(t)), s.roots, nil) },
	} {
		if _, err := open().ByLogin(t.Context(), "jane", secret); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}

// A directory that stands still fails the step, at first slowly and then at
// once; and is asked again after a while.
func TestOutage(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	now := time.Now()
	dir := open(t, definition("ldaps://"+s.tls), s.roots, func(a *ldappassword.Access) { a.Now = func() time.Time { return now } })
	if _, err := dir.ByLogin(t.Context(), "jane", secret); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatal("slapd does not stand still", err)
	}
	ask := func() error { _, err := dir.ByLogin(t.Context(), "jane", secret); return err }
	for range 3 {
		if err := ask(); !errors.Is(err, flows.ErrUnavailable) {
			t.Fatalf("standing still: %v", err)
		}
	}
	began := time.Now()
	for range 100 {
		if err := ask(); !errors.Is(err, flows.ErrUnavailable) {
			t.Fatalf("left alone: %v", err)
		}
		if took := time.Since(began); took > time.Second { // one that waits takes three
			t.Fatalf("requests took %v while it is left alone", took)
		}
	}
	if err := s.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := ask(); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("still left alone: %v", err)
	}
	now = now.Add(6 * time.Second)
	if err := ask(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
