//go:build unix

package ldappassword_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/ldappassword"
	"github.com/stile-auth/stile/steps/steptest"
)

const subject = "subject-of-jane"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// more is the directory that steps refer to.
const more = "directories: { staff: { url: \"ldaps://ldap.example\", base: dc=example } }"

// world is a step with a real directory and a repository that has Jane.
type world struct {
	accounts  *memory.Accounts
	known     ldappassword.Known
	directory *ldappassword.Directory
}

// counting counts what a directory is asked.
type counting struct {
	ldappassword.Verifier
	asked int
}

func (c *counting) ByLogin(ctx context.Context, login, password string) (ldappassword.Entry, error) {
	c.asked++
	return c.Verifier.ByLogin(ctx, login, password)
}

func (c *counting) ByID(ctx context.Context, id, password string) (ldappassword.Entry, error) {
	c.asked++
	return c.Verifier.ByID(ctx, id, password)
}

func newWorld(t testing.TB, s *server, links ...account.Link) *world {
	t.Helper()
	w := &world{accounts: memory.New().Accounts(), directory: open(t, definition("ldaps://"+s.tls), s.roots, nil)}
	w.known = ldappassword.Known{Verifier: w.directory, Provision: flowdefs.ProvisionCreate, Binding: assurance.AAL1}
	if len(links) > 0 {
		who := account.Account{Subject: subject, Status: account.Active, Logins: []string{"jane"}, Attributes: map[string]string{"roles": "director", "kept": "yes", "kept_verified": "true", "branch": "Berne", "branch_verified": "true"}, Created: now}
		if err := w.accounts.CreateAccount(t.Context(), who, nil, links); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func linked(id string) account.Link {
	return account.Link{Issuer: "ldap:staff", External: id, Subject: subject, Created: now}
}

func (w *world) typ() flows.StepType {
	return ldappassword.Type(ldappassword.Config{
		Directories: ldappassword.Directories{"staff": w.known}, Accounts: w.accounts, Authenticators: w.accounts,
	})
}

func (w *world) step(t testing.TB) flows.Step {
	t.Helper()
	reg, err := flows.NewRegistry(w.typ())
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: {f: {steps: [{id: it, type: ldap_password, with: {directory: staff}}]}}\n" + more
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", reg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.typ().New(set.Flows["f"].Steps[0].With)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// play answers a visit, and says what became of it and for whom.
func (w *world) play(t testing.TB, v flows.Visit, login, password string) string {
	t.Helper()
	v.RunID, v.StepID, v.Now = "run-1", "it", now
	visit, s := flows.NewVisit(v, "owner", nil), w.step(t)
	if _, err := s.Enter(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	body := map[string]string{"password": password}
	if login != "" {
		body["username"] = login
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Answer(t.Context(), visit, text)
	reason, rejected := out.Rejected()
	switch {
	case err != nil:
		return err.Error()
	case rejected:
		return "rejected: " + reason
	case out.Exited() != "":
		return "exit: " + out.Exited()
	case out.Passed() != nil:
		return "passed: " + out.Passed().Subject
	}
	return fmt.Sprint(out)
}

func TestConformance(t *testing.T) {
	s := startDirectory(t)
	steptest.Run(t, func(t *testing.T) steptest.Case {
		w := newWorld(t, s, linked(janeID))
		down := &broken{Verifier: w.directory}
		w.known.Verifier = down
		return steptest.Case{
			Type: w.typ(), With: "{ directory: staff }", More: more,
			Visit: flows.Visit{StepID: "it", Turn: 1, Attempt: 1, Now: now, Claimed: subject, Identifier: "jane"},
			Answer: func(_ json.RawMessage, _ *flows.Visit, how string) flows.Input {
				if how == "ok" {
					return flows.Input(`{"password":"` + secret + `"}`)
				}
				return flows.Input(`{"password":"` + secret + `r"}`)
			},
			Secrets: []string{secret}, Break: func() { down.down = true }, Reusable: true,
		}
	})
}

// broken is a directory that can fail on demand.
type broken struct {
	ldappassword.Verifier
	down bool
}

func (b *broken) ByLogin(ctx context.Context, login, password string) (ldappassword.Entry, error) {
	if b.down {
		return ldappassword.Entry{}, flows.ErrUnavailable
	}
	return b.Verifier.ByLogin(ctx, login, password)
}

func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	s := startDirectory(t)
	claimed, typed := flows.Visit{Claimed: subject, Identifier: "jane"}, flows.Visit{}
	for name, c := range map[string]struct {
		link            string
		provision       flowdefs.Provision
		visit           flows.Visit
		login, password string
		want            string
	}{
		"claimed":               {janeID, "", claimed, "", secret, "passed: " + subject},
		"typed":                 {janeID, "", typed, "jane", secret, "passed: " + subject},
		"wrong":                 {janeID, "", claimed, "", "wrong", "rejected: wrong"},
		"stranger, create":      {"", flowdefs.ProvisionCreate, typed, "jane", secret, "created"},
		"stranger, link only":   {"", flowdefs.ProvisionLinkOnly, typed, "jane", secret, "exit: denied"},
		"stranger, never":       {"", flowdefs.ProvisionNever, typed, "jane", secret, "exit: denied"},
		"stranger, wrong":       {"", flowdefs.ProvisionNever, typed, "jane", "wrong", "rejected: wrong"},
		"name of somebody else": {"99999999-9999-4999-8999-999999999999", flowdefs.ProvisionCreate, typed, "jane", secret, "exit: denied"},
		"linked to another":     {janeID, "", flows.Visit{Claimed: "somebody else", Identifier: "jane"}, "", secret, "rejected: wrong"},
		"nobody is named":       {janeID, "", flows.Visit{Claimed: subject, Subject: subject}, "", secret, "rejected: wrong"},
	} {
		var links []account.Link
		if c.link != "" {
			links = append(links, linked(c.link))
		}
		w := newWorld(t, s, links...)
		w.known.Provision = c.provision
		asked := &counting{Verifier: w.directory}
		w.known.Verifier = asked
		got := w.play(t, c.visit, c.login, c.password)
		if c.want == "created" {
			a, err := w.accounts.AccountByLogin(t.Context(), "jane")
			if err != nil || got != "passed: "+a.Subject || !maps.Equal(a.Attributes, map[string]string{"branch": "Zurich", "roles": "teller"}) {
				t.Errorf("%s: %s, %+v, %v", name, got, a, err)
			}
		} else if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if asked.asked != 1 {
			t.Errorf("%s: the directory was asked %d times, want 1", name, asked.asked)
		}
	}
}

// What the directory says of an account is taken over, also that it is not so any more.
func TestAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, startDirectory(t), linked(janeID))
	if got := w.play(t, flows.Visit{Claimed: subject, Identifier: "jane"}, "", secret); got != "passed: "+subject {
		t.Fatal(got)
	}
	a, err := w.accounts.Account(t.Context(), subject)
	if diff := cmp.Diff(map[string]string{"branch": "Zurich", "roles": "teller", "kept": "yes", "kept_verified": "true"}, a.Attributes); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// An authenticator that was taken out of use stays so, whatever the directory says.
func TestDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, startDirectory(t), linked(janeID))
	visit := flows.Visit{Claimed: subject, Identifier: "jane"}
	if got := w.play(t, visit, "", secret); got != "passed: "+subject {
		t.Fatal(got)
	}
	all, err := w.accounts.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 || all[0].Type != account.TypeLDAP || all[0].Binding != "aal1" {
		t.Fatalf("%+v, %v", all, err)
	}
	err = w.accounts.UpdateAuthenticator(t.Context(), all[0].ID, func(a *account.Authenticator) error {
		a.Status = account.Disabled
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []flows.Visit{visit, {}} {
		login := ""
		if v.Claimed == "" {
			login = "jane"
		}
		if got := w.play(t, v, login, secret); got != "rejected: wrong" {
			t.Errorf("%+v: %s", v, got)
		}
	}
}

func TestNotConfigured(t *testing.T) {
	t.Parallel()
	w := &world{accounts: memory.New().Accounts()}
	visit := flows.NewVisit(flows.Visit{Now: now}, "owner", nil)
	s := w.step(t)
	if _, err := s.Enter(t.Context(), visit); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Answer(t.Context(), visit, flows.Input(`{"username":"jane","password":"x"}`)); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}
