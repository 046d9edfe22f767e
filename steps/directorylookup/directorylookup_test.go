package directorylookup_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/directorylookup"
	"github.com/stile-auth/stile/steps/ldappassword"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	more = "\ndirectories: { staff: { url: \"ldaps://ldap.example\", base: dc=example } }\n"
	with = "{ directory: staff, account: employee, attribute: employeeNumber, assign: { permissions: roles, branch: branch } }"
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

func having(attributes map[string]string) people {
	return people{all: map[string]account.Account{"jane": {Subject: "jane", Status: account.Active, Attributes: attributes}}}
}

// staff is a directory with one entry, which counts what it is asked.
type staff struct {
	entry map[string]string
	err   error
	asked []string
}

func (s *staff) Read(_ context.Context, attribute, value string) (ldappassword.Entry, error) {
	s.asked = append(s.asked, attribute+"="+value)
	if s.err == nil && (attribute != "employeeNumber" || value != "4711") {
		return ldappassword.Entry{}, account.ErrNotFound
	}
	return ldappassword.Entry{ID: "1", Attributes: s.entry}, s.err
}

func (*staff) Says(name string) bool { return name == "roles" || name == "branch" }

func newStep(t testing.TB, as directorylookup.Accounts, d ldappassword.Directories, with string) (flows.Step, error) {
	t.Helper()
	typ := directorylookup.Type(d, as)
	r, err := flows.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: { f: { kind: authorization, steps: [{ id: l, type: directory_lookup, with: " + with + " }] } }" + more
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", r)
	if err != nil {
		return nil, err
	}
	return typ.New(set.Flows["f"].Steps[0].With)
}

// enter returns what is assigned, or the exit.
func enter(t testing.TB, as directorylookup.Accounts, s *staff, with string, v flows.Visit) (string, error) {
	t.Helper()
	d := ldappassword.Directories{}
	if s != nil {
		d["staff"] = ldappassword.Known{Reader: s}
	}
	step, err := newStep(t, as, d, with)
	if err != nil {
		t.Fatal(err)
	}
	out, err := step.Enter(t.Context(), flows.NewVisit(v, "owner", nil))
	if out.Passed() != nil || out.Asked() != nil {
		t.Errorf("proves or asks: %+v", out)
	}
	if out.IsDone() {
		return fmt.Sprint(out.Assigned()), err
	}
	return out.Exited(), err
}

var jane = flows.Visit{Subject: "jane", Claimed: "jane"}

func employed() people { return having(map[string]string{"employee": "4711", "roles": "director"}) }

// The checks of prompts and answers are for steps that ask.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, check := range steptest.Checks() {
		if check.Name != "documented" && check.Name != "unknown configuration is refused" {
			continue
		}
		if err := check.Run(t.Context(), steptest.Case{Type: directorylookup.Type(nil, nil), With: with, More: more}); err != nil {
			t.Errorf("%s: %v", check.Name, err)
		}
	}
}

// What is assigned is the directory's word, not the account's.
func TestLookup(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		entry map[string]string
		want  string
	}{
		{map[string]string{"roles": "teller,auditor", "branch": "Zurich North"}, "map[branch:Zurich North permissions:teller auditor]"},
		{map[string]string{"roles": "teller"}, "map[branch: permissions:teller]"},
		{map[string]string{"roles": "", "branch": "", "title": "Dr"}, "map[branch: permissions:]"},
		{nil, "map[branch: permissions:]"},
	} {
		s := &staff{entry: row.entry}
		if got, err := enter(t, employed(), s, with, jane); got != row.want || err != nil || len(s.asked) != 1 {
			t.Errorf("%v: %q, %v, asked %v; want %s", row.entry, got, err, s.asked, row.want)
		}
	}
}

// Where nothing says whose entry it is, no directory is asked.
func TestNobodyIsFound(t *testing.T) {
	t.Parallel()
	disabled := employed()
	a := disabled.all["jane"]
	a.Status = account.Disabled
	disabled.all["jane"] = a
	verified := strings.Replace(with, "assign:", "verified: true, assign:", 1)
	for name, row := range map[string]struct {
		as   people
		with string
		v    flows.Visit
		asks int
	}{
		"nobody":              {employed(), with, flows.Visit{}, 0},
		"only claimed":        {employed(), with, flows.Visit{Claimed: "jane", Identifier: "jane"}, 0},
		"no account":          {employed(), with, flows.Visit{Subject: "john"}, 0},
		"disabled":            {disabled, with, jane, 0},
		"no attribute":        {having(nil), with, jane, 0},
		"an empty one":        {having(map[string]string{"employee": ""}), with, jane, 0},
		"not verified":        {employed(), verified, jane, 0},
		"verified in words":   {having(map[string]string{"employee": "4711", "employee_verified": "yes"}), verified, jane, 0},
		"nobody in directory": {having(map[string]string{"employee": "1"}), with, jane, 1},
		"a star":              {having(map[string]string{"employee": "*"}), with, jane, 1},
	} {
		s := &staff{entry: map[string]string{"roles": "director"}}
		if got, err := enter(t, row.as, s, row.with, row.v); got != "unknown" || err != nil || len(s.asked) != row.asks {
			t.Errorf("%s: %q, %v, asked %v", name, got, err, s.asked)
		}
	}
	good := having(map[string]string{"employee": "4711", "employee_verified": "true"})
	if got, err := enter(t, good, &staff{}, verified, jane); got != "map[branch: permissions:]" || err != nil {
		t.Errorf("verified: %q, %v", got, err)
	}
}

// Who cannot say, or says what no text can be, is no exit: nobody gets past it.
func TestFailure(t *testing.T) {
	t.Parallel()
	down := employed()
	down.err = errors.New("database is down")
	entry := func(name, value string) *staff { return &staff{entry: map[string]string{name: value}} }
	for name, row := range map[string]struct {
		as directorylookup.Accounts
		s  *staff
	}{
		"the accounts are down":    {down, &staff{}},
		"no accounts":              {nil, &staff{}},
		"the directory is down":    {employed(), &staff{err: fmt.Errorf("%w: no route", flows.ErrUnavailable)}},
		"no directory":             {employed(), nil},
		"another error":            {employed(), &staff{err: errors.New("certificate")}},
		"a role that would be two": {employed(), entry("roles", "teller,branch director")},
		"a tab in a role":          {employed(), entry("roles", "teller\tdirector")},
		"control characters":       {employed(), entry("branch", "Zurich\ndirector")},
		"no UTF-8":                 {employed(), entry("branch", "\xff")},
		"very long":                {employed(), entry("branch", strings.Repeat("a", 5000))},
	} {
		if got, err := enter(t, row.as, row.s, with, jane); got != "" || !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	known := ldappassword.Directories{"staff": {Reader: &staff{}}}
	for _, edit := range [][2]string{
		{"account: employee", "account: roles"},
		{"account: employee", `account: ""`},
		{"account: employee, ", ""},
		{"attribute: employeeNumber", `attribute: ""`},
		{"attribute: employeeNumber", `attribute: "uid=*)(uid"`},
		{"attribute: employeeNumber", `attribute: "4711"`},
		{"attribute: employeeNumber", `attribute: "uid;binary"`},
		{"assign: { permissions: roles, branch: branch }", "assign: {}"},
		{"permissions: roles", "Permissions: roles"},
		{"permissions: roles", `"": roles`},
		{"branch: branch", "branch: userPassword"},
		{"directory: staff", "directory: nobody"},
	} {
		if _, err := newStep(t, employed(), known, strings.Replace(with, edit[0], edit[1], 1)); err == nil {
			t.Errorf("%s loads", edit[1])
		}
	}
	if _, err := newStep(t, employed(), nil, with); err != nil {
		t.Errorf("without its directory it is checked all the same, and does not load: %v", err)
	}
}

// Scenarios say what an entry has.
func TestDecide(t *testing.T) {
	t.Parallel()
	step, err := newStep(t, nil, nil, with)
	if err != nil {
		t.Fatal(err)
	}
	decides := step.(interface {
		Decide(ctx context.Context, entry []byte) (flows.Outcome, error)
	})
	out, err := decides.Decide(t.Context(), []byte(`{"roles":"teller, auditor"}`))
	if !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("a space in a role: %v %v", out, err)
	}
	if out, err = decides.Decide(t.Context(), []byte(`{"roles":"teller,auditor"}`)); err != nil || fmt.Sprint(out.Assigned()) != "map[branch: permissions:teller auditor]" {
		t.Errorf("%v %v", out.Assigned(), err)
	}
	if _, err = decides.Decide(t.Context(), []byte(`[]`)); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
