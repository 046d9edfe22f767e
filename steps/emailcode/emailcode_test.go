package emailcode_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/emailcode"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject = "subject-of-jane"
	address = "jane@bank.example"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository holds Jane's authenticators. It can fail on demand, and counts its look-ups.
type repository struct {
	mu     sync.Mutex
	auths  []account.Authenticator
	down   bool
	looked int
}

func (r *repository) Authenticators(_ context.Context, who string) ([]account.Authenticator, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked++
	switch {
	case r.down:
		return nil, errors.New("database is down")
	case who != subject:
		return nil, nil
	}
	return slices.Clone(r.auths), nil
}

func mail(id, to string, created time.Time) account.Authenticator {
	data, _ := json.Marshal(account.EmailData{Address: to})
	return account.Authenticator{
		ID: id, Subject: subject, Type: account.TypeEmail, Status: account.Active, Binding: "aal1", Data: data, Created: created,
	}
}

func jane(auths ...account.Authenticator) *repository { return &repository{auths: auths} }

func typeOf(r *repository) flows.StepType { return emailcode.Type(r, make([]byte, 32)) }

// newStep makes a step with that configuration, as a definition has it.
func newStep(t testing.TB, r *repository, with string) (flows.Step, error) {
	t.Helper()
	reg, err := flows.NewRegistry(typeOf(r))
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte("flows: {f: {steps: [{id: it, type: email_code, with: {" + with + "}}]}}")}}, ".", reg)
	if err != nil {
		return nil, err
	}
	return typeOf(r).New(set.Flows["f"].Steps[0].With)
}

func must(t testing.TB, r *repository, with string) flows.Step {
	t.Helper()
	s, err := newStep(t, r, with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func visit(change func(*flows.Visit)) *flows.Visit {
	v := flows.Visit{RunID: "run-1", StepID: "it", Attempt: 1, Turn: 1, Now: now, Claimed: subject, Identifier: "jane", Locale: "de"}
	if change != nil {
		change(&v)
	}
	return flows.NewVisit(v, "owner", nil)
}

type shown struct {
	Destination string     `json:"destination"`
	Digits      int        `json:"digits"`
	Sent        bool       `json:"sent"`
	ExpiresAt   *time.Time `json:"expiresAt"`
	ResendAt    *time.Time `json:"resendAt"`
}

func enter(t testing.TB, s flows.Step, v *flows.Visit) shown {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil || out.Asked() == nil {
		t.Fatalf("%v, %v", out, err)
	}
	text, err := json.Marshal(out.Asked().Data)
	var p shown
	if err := errors.Join(err, json.Unmarshal(text, &p)); err != nil {
		t.Fatal(err)
	}
	return p
}

// last is the code that was sent last.
func last(v *flows.Visit) string { return v.Sent()[len(v.Sent())-1].Args["code"] }

// try answers, and says what became of it.
func try(t testing.TB, s flows.Step, v *flows.Visit, code string) string {
	t.Helper()
	out, err := s.Answer(t.Context(), v, flows.Input(fmt.Sprintf(`{"code":%q}`, code)))
	if err != nil {
		return err.Error()
	}
	if reason, ok := out.Rejected(); ok {
		return reason
	}
	if out.Passed() != nil {
		return "passed"
	}
	return "?"
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		r := jane(mail("m1", address, now))
		return steptest.Case{
			Type: typeOf(r), With: "{}",
			Visit: flows.Visit{RunID: "run-0", StepID: "it", Attempt: 1, Turn: 1, Now: now, Claimed: subject, Identifier: "jane"},
			Answer: func(_ json.RawMessage, v *flows.Visit, how string) flows.Input {
				code := "000000"
				if len(v.Sent()) > 0 {
					code = last(v)
				}
				if how == "wrong" {
					code = wrong(code)
				}
				return flows.Input(`{"code":"` + code + `"}`)
			},
			Secrets: []string{address, "bank"},
			Break:   func() { r.down = true },
		}
	})
}

func wrong(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return "9" + code[1:]
}

func TestMessage(t *testing.T) {
	t.Parallel()
	r := jane(mail("m2", "second@bank.example", now), mail("m1", address, now.Add(-time.Hour)))
	v := visit(nil)
	p := enter(t, must(t, r, "digits: 8, lifetime: 5m"), v)
	expires, again := now.Add(5*time.Minute), now.Add(time.Minute)
	if diff := cmp.Diff(shown{"***@***", 8, true, &expires, &again}, p); diff != "" {
		t.Error(diff)
	}
	m := v.Sent()[0]
	code := m.Args["code"]
	if len(code) != 8 {
		t.Errorf("code %q", code)
	}
	want := flows.Message{
		Channel: "email", To: address, Template: "email_code", Locale: "de", Expires: expires,
		Args: map[string]string{"code": code, "minutes": "5"},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Error(diff)
	}
}

// A code is bound to run, step, visit, account and address, and the next one ends it: T-45, T-46, CVE-2024-8122.
func TestBinding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*flows.Visit)
		move   func(a *account.Authenticator)
		want   string
	}{
		"as it was sent":    {want: "passed"},
		"another run":       {change: func(v *flows.Visit) { v.RunID = "run-2" }, want: "wrong"},
		"another step":      {change: func(v *flows.Visit) { v.StepID = "other" }, want: "wrong"},
		"another visit":     {change: func(v *flows.Visit) { v.Attempt = 2 }, want: "wrong"},
		"another account":   {change: func(v *flows.Visit) { v.Claimed = "" }, want: "wrong"},
		"the last moment":   {change: func(v *flows.Visit) { v.Now = now.Add(10*time.Minute - 1) }, want: "passed"},
		"expired":           {change: func(v *flows.Visit) { v.Now = now.Add(10 * time.Minute) }, want: "wrong"},
		"another address":   {move: func(a *account.Authenticator) { *a = mail("m1", "eve@evil.example", now) }, want: "wrong"},
		"removed meanwhile": {move: func(a *account.Authenticator) { a.Status = account.Disabled }, want: "wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := jane(mail("m1", address, now))
			s, first := must(t, r, ""), visit(nil)
			enter(t, s, first)
			later := visit(c.change)
			var memory json.RawMessage
			if err := errors.Join(first.Kept(&memory), later.Keep(memory)); err != nil {
				t.Fatal(err)
			}
			if c.move != nil {
				c.move(&r.auths[0])
			}
			if got := try(t, s, later, last(first)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestTheNextCodeEndsTheLast(t *testing.T) {
	t.Parallel()
	s, v := must(t, jane(mail("m1", address, now)), ""), visit(nil)
	enter(t, s, v)
	first := last(v)
	for enter(t, s, v); last(v) == first; {
		enter(t, s, v)
	}
	if got := try(t, s, v, first); got != "wrong" {
		t.Errorf("the first code: %s", got)
	}
	if got := try(t, s, v, last(v)); got != "passed" {
		t.Errorf("the last code: %s", got)
	}
}

// What is kept does not say the code, and not to whom it went.
func TestMemoryHoldsNoCode(t *testing.T) {
	t.Parallel()
	s, v := must(t, jane(mail("m1", address, now)), "digits: 8"), visit(nil)
	enter(t, s, v)
	var memory json.RawMessage
	if err := v.Kept(&memory); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{last(v), base64.StdEncoding.EncodeToString([]byte(last(v))), "jane"} {
		if strings.Contains(string(memory), secret) {
			t.Errorf("%s is in %s", secret, memory)
		}
	}
}

// An unknown account, one without an address and one whose address is no longer
// good: the same work, the same prompt, the same answers, and no mail. Invariant 13.
func TestNobody(t *testing.T) {
	t.Parallel()
	disabled := mail("m1", address, now)
	disabled.Status = account.Disabled
	garbage := mail("m1", "no address\r\nBcc: eve@evil.example", now)
	known := jane(mail("m1", address, now))
	s, v := must(t, known, ""), visit(nil)
	want := enter(t, s, v)
	for name, c := range map[string]struct {
		r       *repository
		claimed string
	}{
		"unknown": {known, ""}, "none": {jane(), subject}, "disabled": {jane(disabled), subject}, "garbage": {jane(garbage), subject},
		"of another type": {jane(account.Authenticator{ID: "x", Subject: subject, Type: account.TypeTOTP, Status: account.Active}), subject},
	} {
		s, v := must(t, c.r, ""), visit(func(v *flows.Visit) { v.Claimed = c.claimed })
		before := c.r.looked
		p := enter(t, s, v)
		if again := enter(t, s, visit(func(v *flows.Visit) { v.Claimed = c.claimed })); again.Destination != p.Destination {
			t.Errorf("%s: %s, and then %s", name, p.Destination, again.Destination)
		}
		if p.Destination != want.Destination || c.r.looked != before+2 {
			t.Errorf("%s: %+v after %d look-ups", name, p, c.r.looked-before)
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if to := v.Sent()[0].To; to != "" {
			t.Errorf("%s: sent to %q", name, to)
		}
		for _, code := range []string{last(v), wrong(last(v))} { // the right code of nobody is none
			if got := try(t, s, v, code); got != "wrong" {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// Before the first proof the destination depends on what was typed and on nothing else, where that is an address.
func TestDestination(t *testing.T) {
	t.Parallel()
	r := jane(mail("m1", address, now))
	s := must(t, r, "")
	for name, c := range map[string]struct {
		change func(*flows.Visit)
		want   string
	}{
		"by name":                   {func(*flows.Visit) {}, "***@***"},
		"by name, when it is me":    {func(v *flows.Visit) { v.Subject = subject }, "j***@b***"},
		"by address, known":         {func(v *flows.Visit) { v.Identifier = "old@elsewhere.example" }, "o***@e***"},
		"by address, unknown":       {func(v *flows.Visit) { v.Identifier, v.Claimed = " old@elsewhere.example", "" }, "o***@e***"},
		"by address, when it is me": {func(v *flows.Visit) { v.Identifier, v.Subject = "old@elsewhere.example", subject }, "j***@b***"},
	} {
		if p := enter(t, s, visit(c.change)); p.Destination != c.want {
			t.Errorf("%s: %s, want %s", name, p.Destination, c.want)
		}
	}
}

// The first letter of a login is likelier to be that of the address than a
// made-up letter is: before the first proof there is no letter. Invariant 13.
func TestNoLetterOfAnybody(t *testing.T) {
	t.Parallel()
	s := must(t, jane(mail("m1", address, now)), "")
	for _, claimed := range []string{subject, ""} {
		for _, login := range []string{"jane", "j", "bob", ""} {
			p := enter(t, s, visit(func(v *flows.Visit) { v.Claimed, v.Identifier = claimed, login }))
			if p.Destination != "***@***" {
				t.Errorf("%q, claimed %q: %s", login, claimed, p.Destination)
			}
		}
	}
}

// E-mail is no factor unless the deployment departs from SP 800-63B-4 §3.1.3.1, and then the least of all.
func TestEvidence(t *testing.T) {
	t.Parallel()
	strong := mail("m1", address, now)
	strong.Binding = "aal3"
	s, v := must(t, jane(strong), ""), visit(nil)
	enter(t, s, v)
	out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+last(v)+`"}`))
	if err != nil || out.Passed() == nil {
		t.Fatal(err)
	}
	e := out.Passed().Evidence
	e.At = now
	for counts, want := range map[bool]assurance.Level{false: assurance.None, true: assurance.AAL1} {
		res := assurance.Assess([]assurance.Evidence{e}, now, assurance.Policy{Deviations: assurance.Deviations{EmailIsFactor: counts}})
		if res.Level != want || e.Authenticator != "m1" {
			t.Errorf("counts %v: %s, %+v", counts, res.Level, e)
		}
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	r := jane()
	for _, good := range []string{"", "digits: 6", "digits: 8, lifetime: 30s"} {
		if _, err := newStep(t, r, good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"digits: 5", "digits: 9", "lifetime: 11m", "credit: possession", "to: eve@evil.example"} {
		if _, err := newStep(t, r, bad); err == nil {
			t.Errorf("%s: loads", bad)
		}
	}
	if _, err := emailcode.Type(r, make([]byte, 31)).New(nothing{}); err == nil {
		t.Error("a short key is taken")
	}
}

// nothing is an empty configuration.
type nothing struct{}

func (nothing) Decode(any) error { return nil }

// Codes have no pattern: every digit comes up at every place.
func TestCodes(t *testing.T) {
	t.Parallel()
	s := must(t, jane(mail("m1", address, now)), "")
	seen := map[[2]byte]int{}
	for range 500 {
		v := visit(nil)
		enter(t, s, v)
		code := last(v)
		if len(code) != 6 {
			t.Fatalf("code %q", code)
		}
		for i := range 6 {
			seen[[2]byte{byte(i), code[i]}]++
		}
	}
	if len(seen) != 60 {
		t.Errorf("%d of 60 digits at their places", len(seen))
	}
	for place, n := range seen {
		if n > 120 { // 50 are expected
			t.Errorf("digit %c comes up %d times of 500 at place %d", place[1], n, place[0])
		}
	}
}
