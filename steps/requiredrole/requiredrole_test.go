package requiredrole_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/requiredrole"
	"github.com/stile-auth/stile/steps/steptest"
)

// people are accounts by subject; err fails every question.
type people struct {
	all map[string]account.Account
	err error
}

func (p people) Account(_ context.Context, subject string) (account.Account, error) {
	a, ok := p.all[subject]
	if p.err == nil && !ok {
		return a, account.ErrNotFound
	}
	return a, p.err
}

func having(roles string) people {
	return people{all: map[string]account.Account{
		"jane": {Subject: "jane", Status: account.Active, Attributes: map[string]string{"roles": roles}},
	}}
}

func newStep(t testing.TB, as requiredrole.Accounts, with string) (flows.Step, error) {
	t.Helper()
	r, err := flows.NewRegistry(requiredrole.Type(as))
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: { f: { steps: [{ id: r, type: required_role, with: " + with + " }] } }"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", r)
	if err != nil {
		return nil, err
	}
	return requiredrole.Type(as).New(set.Flows["f"].Steps[0].With)
}

// enter returns "done" or the exit.
func enter(t testing.TB, as requiredrole.Accounts, with string, v flows.Visit) (string, error) {
	t.Helper()
	s, err := newStep(t, as, with)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Enter(t.Context(), flows.NewVisit(v, "owner", nil))
	if out.Passed() != nil || out.Asked() != nil {
		t.Errorf("proves or asks: %+v", out)
	}
	if out.IsDone() {
		return "done", err
	}
	return out.Exited(), err
}

var jane = flows.Visit{Subject: "jane", Claimed: "jane"}

// The checks of prompts and answers are for steps that ask.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, check := range steptest.Checks() {
		if check.Name != "documented" && check.Name != "unknown configuration is refused" {
			continue
		}
		if err := check.Run(t.Context(), steptest.Case{Type: requiredrole.Type(nil), With: "{ roles: [teller] }"}); err != nil {
			t.Errorf("%s: %v", check.Name, err)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ has, with, want string }{
		{"teller", "{ roles: [teller] }", "done"},
		{"customer, teller ,auditor", "{ roles: [teller] }", "done"},
		{"customer,teller", "{ roles: [teller, customer] }", "done"},
		{"customer,teller", "{ roles: [teller, customer], match: all }", "done"},
		{"teller", "{ roles: [teller, customer] }", "missing_role"},
		{"teller", "{ roles: [teller, customer], match: any }", "done"},
		{"auditor", "{ roles: [teller, customer], match: any }", "missing_role"},
		{"", "{ roles: [teller] }", "missing_role"},
		{",", "{ roles: [teller], match: any }", "missing_role"},
		{"Teller", "{ roles: [teller] }", "missing_role"},
		{"head-teller", "{ roles: [teller] }", "missing_role"},
		{"teller;customer", "{ roles: [teller] }", "missing_role"},
	} {
		if got, err := enter(t, having(row.has), row.with, jane); got != row.want || err != nil {
			t.Errorf("%q, %s: %q, %v; want %s", row.has, row.with, got, err, row.want)
		}
	}
}

func TestNobodyHasARole(t *testing.T) {
	t.Parallel()
	disabled := having("teller")
	a := disabled.all["jane"]
	a.Status = account.Disabled
	disabled.all["jane"] = a
	for name, row := range map[string]struct {
		as requiredrole.Accounts
		v  flows.Visit
	}{
		"nobody":       {having("teller"), flows.Visit{}},
		"only claimed": {having("teller"), flows.Visit{Claimed: "jane", Identifier: "jane"}},
		"unknown":      {having("teller"), flows.Visit{Subject: "john", Claimed: "john"}},
		"disabled":     {disabled, jane},
	} {
		if got, err := enter(t, row.as, "{ roles: [teller] }", row.v); got != "missing_role" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// Who cannot be asked says no, and not that the role is missing.
func TestFailure(t *testing.T) {
	t.Parallel()
	down := having("teller")
	down.err = errors.New("database is down")
	for name, as := range map[string]requiredrole.Accounts{"down": down, "none": nil} {
		if got, err := enter(t, as, "{ roles: [teller] }", jane); got != "" || !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	for _, with := range []string{
		"{}", "{ roles: [] }", "{ roles: teller }", `{ roles: [""] }`, `{ roles: [" teller"] }`, `{ roles: ["a,b"] }`,
		"{ roles: [a, a] }", "{ roles: [a], match: some }", `{ roles: [a], match: "" }`,
	} {
		if _, err := newStep(t, nil, with); !errors.As(err, new(flowdefs.Problems)) {
			t.Errorf("%s: %v", with, err)
		}
	}
}

func TestItNeverAsks(t *testing.T) {
	t.Parallel()
	s, err := newStep(t, having("teller"), "{ roles: [teller] }")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Answer(t.Context(), flows.NewVisit(jane, "owner", nil), flows.Input("{}")); err == nil {
		t.Errorf("answered: %+v", out)
	}
	if requiredrole.Type(nil).Code != "" {
		t.Error("has a prompt")
	}
}
