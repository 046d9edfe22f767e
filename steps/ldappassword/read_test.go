//go:build unix

package ldappassword_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/directorylookup"
	"github.com/stile-auth/stile/steps/ldappassword"
)

// An entry is read by what an account has of it: one, and only that one.
func TestRead(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	dir := open(t, definition("ldaps://"+s.tls), s.roots, nil)
	want := ldappassword.Entry{ID: janeID, Attributes: map[string]string{"branch": "Zurich", "title": "", "roles": "teller"}}
	for _, key := range [][2]string{{"uid", "jane"}, {"UID", "jane"}, {"entryUUID", janeID}, {"cn", `Jane (of) * the \Hills`}} {
		got, err := dir.Read(t.Context(), key[0], key[1])
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v: %v\n%s", key, err, diff)
		}
	}
	for name, key := range map[string][2]string{
		"nobody":                {"uid", "jack"},
		"nothing":               {"uid", ""},
		"two entries":           {"mail", "jane@bank.example"},
		"star":                  {"uid", "*"},
		"prefix":                {"uid", "jan*"},
		"closes the filter":     {"uid", "x)(uid=jane"},
		"or":                    {"uid", "x)(|(uid=jane)"},
		"NUL":                   {"uid", "jane\x00"},
		"an attribute as a way": {"uid=jane)(uid", "jane"},
		"no attribute":          {"", "jane"},
		"a password":            {"userPassword", secret},
		"who searches":          {"cn", "stile"},
		"capitals":              {"uid", "JANE"},
		"spaces":                {"uid", " jane "},
		"wide letters":          {"uid", "\uff4aane"},
		"a soft hyphen":         {"uid", "ja\u00adne"},
	} {
		if got, err := dir.Read(t.Context(), key[0], key[1]); !errors.Is(err, account.ErrNotFound) && !errors.Is(err, flows.ErrUnavailable) || got.ID != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, want := range map[string]bool{"branch": true, "roles": true, "departmentNumber": false, "userPassword": false, "": false} {
		if dir.Says(name) != want {
			t.Errorf("says %q: %v", name, !want)
		}
	}
}

// The whole step on a real directory: who signed in elsewhere has its groups; one that
// stands still or cannot be trusted lets nobody past, and soon costs no time-out.
func TestLookup(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	now := time.Now()
	clock := func(a *ldappassword.Access) { a.Now = func() time.Time { return now } }
	enter := lookup(t, open(t, definition("ldaps://"+s.tls), s.roots, clock))
	if got := enter("jane"); got != "map[branch:Zurich permissions:teller]" {
		t.Errorf("Jane: %s", got)
	}
	if got := enter("john"); got != "map[branch: permissions:director]" {
		t.Errorf("John: %s", got)
	}
	if got := enter("jack"); got != "unknown" {
		t.Errorf("nobody: %s", got)
	}
	if got := lookup(t, open(t, definition("ldaps://"+s.tls), x509.NewCertPool(), nil))("jane"); got != "unavailable" {
		t.Errorf("a directory of another authority: %s", got)
	}
	if err := s.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := enter("jane"); got != "unavailable" {
			t.Fatalf("standing still: %s", got)
		}
	}
	began := time.Now()
	for range 100 {
		enter("jane")
		if took := time.Since(began); took > time.Second { // one that waits takes three
			t.Fatalf("requests took %v while it is left alone", took)
		}
	}
	if err := s.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	now = now.Add(6 * time.Second)
	if got := enter("jane"); got != "map[branch:Zurich permissions:teller]" {
		t.Errorf("afterwards: %s", got)
	}
}

// lookup is a step directory_lookup for an account whose attribute employee is the login.
func lookup(t *testing.T, dir *ldappassword.Directory) func(login string) string {
	t.Helper()
	accounts := memory.New().Accounts()
	for _, login := range []string{"jane", "john", "jack"} {
		who := account.Account{Subject: "subject-of-" + login, Status: account.Active, Attributes: map[string]string{"employee": login}, Created: now}
		if err := accounts.CreateAccount(t.Context(), who, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	typ := directorylookup.Type(ldappassword.Directories{"staff": {Verifier: dir, Reader: dir}}, accounts)
	reg, err := flows.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: {f: {kind: authorization, steps: [{id: it, type: directory_lookup, with: " +
		"{directory: staff, account: employee, attribute: uid, assign: {permissions: roles, branch: branch}}}]}}\n" + more
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", reg)
	if err != nil {
		t.Fatal(err)
	}
	step, err := typ.New(set.Flows["f"].Steps[0].With)
	if err != nil {
		t.Fatal(err)
	}
	return func(login string) string {
		out, err := step.Enter(t.Context(), flows.NewVisit(flows.Visit{Subject: "subject-of-" + login}, "owner", nil))
		switch {
		case errors.Is(err, flows.ErrUnavailable):
			return "unavailable"
		case err != nil:
			return err.Error()
		case out.IsDone():
			return fmt.Sprint(out.Assigned())
		}
		return out.Exited()
	}
}
