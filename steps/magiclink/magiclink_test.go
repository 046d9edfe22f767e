package magiclink_test

import (
	"context"
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
	"github.com/stile-auth/stile/steps/magiclink"
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

func mail(id, to string) account.Authenticator {
	data, _ := json.Marshal(account.EmailData{Address: to})
	return account.Authenticator{
		ID: id, Subject: subject, Type: account.TypeEmail, Status: account.Active, Binding: "aal1", Data: data, Created: now,
	}
}

func jane(auths ...account.Authenticator) *repository { return &repository{auths: auths} }

func typeOf(r *repository) flows.StepType { return magiclink.Type(r, make([]byte, 32)) }

func newStep(t testing.TB, r *repository, with string) (flows.Step, error) {
	t.Helper()
	reg, err := flows.NewRegistry(typeOf(r))
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte("flows: {f: {steps: [{id: it, type: magic_link, with: {" + with + "}}]}}")}}, ".", reg)
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
	v := flows.Visit{
		RunID: "run-1", StepID: "it", Attempt: 1, Turn: 1, Now: now, Claimed: subject, Identifier: "jane", Locale: "de",
		Client: flowdefs.Client{ID: "bank-app"},
	}
	if change != nil {
		change(&v)
	}
	return flows.NewVisit(v, "owner", nil)
}

type shown struct {
	Destination string     `json:"destination"`
	Sent        bool       `json:"sent"`
	Confirmed   bool       `json:"confirmed"`
	ExpiresAt   *time.Time `json:"expiresAt"`
	ResendAt    *time.Time `json:"resendAt"`
}

func prompt(t testing.TB, p *flows.Prompt) shown {
	t.Helper()
	text, err := json.Marshal(p.Data)
	var s shown
	if err := errors.Join(err, json.Unmarshal(text, &s)); err != nil {
		t.Fatal(err)
	}
	return s
}

func enter(t testing.TB, s flows.Step, v *flows.Visit) shown {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil || out.Asked() == nil {
		t.Fatalf("%v, %v", out, err)
	}
	return prompt(t, out.Asked())
}

// last is the token of the link that was sent last.
func last(v *flows.Visit) string {
	link := v.Sent()[len(v.Sent())-1].Args["link"]
	return link[strings.LastIndexByte(link, '/')+1:]
}

// confirm confirms with a token, and returns the code that the page shows.
func confirm(t testing.TB, s flows.Step, v *flows.Visit, token string) (shown, string, error) {
	t.Helper()
	p, code, err := s.(flows.Confirmer).Confirmed(t.Context(), v, flows.Secret(token))
	if err != nil {
		return shown{}, "", err
	}
	return prompt(t, &p), string(code), nil
}

// try answers, and says what became of it.
func try(t testing.TB, s flows.Step, v *flows.Visit, member, value string) string {
	t.Helper()
	out, err := s.Answer(t.Context(), v, flows.Input(fmt.Sprintf(`{%q:%q}`, member, value)))
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

func other(secret string) string {
	if secret[0] == '1' {
		return "2" + secret[1:]
	}
	return "1" + secret[1:]
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(*testing.T) steptest.Case {
		r := jane(mail("m1", address))
		return steptest.Case{
			Type: typeOf(r), With: "{}",
			Visit: flows.Visit{RunID: "run-0", StepID: "it", Attempt: 1, Turn: 1, Now: now, Claimed: subject, Identifier: "jane"},
			Answer: func(_ json.RawMessage, v *flows.Visit, how string) flows.Input {
				token := strings.Repeat("A", 43)
				if len(v.Sent()) > 0 {
					token = last(v)
				}
				if how == "wrong" {
					token = other(token)
				}
				return flows.Input(`{"token":"` + token + `"}`)
			},
			Secrets: []string{address, "bank"},
			Break:   func() { r.down = true },
		}
	})
}

func TestMessage(t *testing.T) {
	t.Parallel()
	v := visit(nil)
	p := enter(t, must(t, jane(mail("m1", address)), "lifetime: 5m"), v)
	expires, again := now.Add(5*time.Minute), now.Add(time.Minute)
	if diff := cmp.Diff(shown{"***@***", true, false, &expires, &again}, p); diff != "" {
		t.Error(diff)
	}
	want := flows.Message{
		Channel: "email", To: address, Template: "magic_link", Locale: "de", Expires: expires,
		Args: map[string]string{
			"link": "https://stile.test/link/" + last(v), "client": "bank-app", "time": "2026-03-01 12:00 UTC", "minutes": "5",
		},
	}
	if diff := cmp.Diff(want, v.Sent()[0]); diff != "" {
		t.Error(diff)
	}
}

// Both ways, and that neither is open where the other is: what is confirmed takes
// a code, and only what is confirmed does.
func TestOneOrTheOther(t *testing.T) {
	t.Parallel()
	s, v := must(t, jane(mail("m1", address)), ""), visit(nil)
	enter(t, s, v)
	token := last(v)
	if got := try(t, s, v, "token", token); got != "passed" {
		t.Fatalf("the app opens the link: %s", got)
	}
	p, code, err := confirm(t, s, v, token)
	if err != nil || !p.Confirmed || len(code) != 8 || strings.Trim(code, "0123456789") != "" {
		t.Fatalf("%+v %v, a code of %d characters", p, err, len(code))
	}
	for _, c := range []struct{ member, value, want string }{
		{"token", token, "wrong"}, {"code", other(code), "wrong"}, {"code", code, "passed"},
	} {
		if got := try(t, s, v, c.member, c.value); got != c.want {
			t.Errorf("%s after the page: %s, want %s", c.member, got, c.want)
		}
	}
	if _, _, err := confirm(t, s, v, token); !errors.Is(err, flows.ErrNotFound) {
		t.Errorf("confirmed twice: %v", err)
	}
	enter(t, s, v)
	if got := try(t, s, v, "code", code); got != "wrong" {
		t.Errorf("the code, after another link: %s", got)
	}
	if got := try(t, s, v, "token", token); got != "wrong" {
		t.Errorf("the first link, after another one: %s", got)
	}
}

// bindings are the ways in which a link can be used for something else than it was sent for.
func bindings() map[string]struct {
	change func(*flows.Visit)
	move   func(a *account.Authenticator)
} {
	type way = struct {
		change func(*flows.Visit)
		move   func(a *account.Authenticator)
	}
	return map[string]way{
		"another run":   {change: func(v *flows.Visit) { v.RunID = "run-2" }},
		"another step":  {change: func(v *flows.Visit) { v.StepID = "other" }},
		"another visit": {change: func(v *flows.Visit) { v.Attempt = 2 }},
		"somebody else": {change: func(v *flows.Visit) { v.Claimed = "subject-of-bob" }},
		"too late":      {change: func(v *flows.Visit) { v.Now = now.Add(10 * time.Minute) }},
		"another address": {move: func(a *account.Authenticator) {
			a.Data, _ = json.Marshal(account.EmailData{Address: "eve@evil.example"})
		}},
		"another mailbox": {move: func(a *account.Authenticator) { a.ID = "m2" }},
		"removed":         {move: func(a *account.Authenticator) { a.Status = account.Disabled }},
	}
}

// Links and codes are bound to run, step, visit, account and address, and expire:
// T-45, CVE-2022-23555, CVE-2024-8122. An address that was changed meanwhile
// confirms nothing either.
func TestBinding(t *testing.T) {
	t.Parallel()
	for name, c := range bindings() {
		for _, confirmed := range []bool{false, true} {
			r := jane(mail("m1", address))
			s, v := must(t, r, ""), visit(nil)
			enter(t, s, v)
			member, secret, token := "token", last(v), last(v)
			if confirmed {
				_, code, err := confirm(t, s, v, token)
				if err != nil {
					t.Fatal(err)
				}
				member, secret = "code", code
			}
			changed := *v
			if c.change != nil {
				c.change(&changed)
			}
			if c.move != nil {
				c.move(&r.auths[0])
			}
			if got := try(t, s, &changed, member, secret); got != "wrong" {
				t.Errorf("%s: the %s: %s", name, member, got)
			}
			if confirmed {
				continue
			}
			if _, _, err := confirm(t, s, &changed, token); !errors.Is(err, flows.ErrNotFound) {
				t.Errorf("%s: confirmed: %v", name, err)
			}
		}
	}
}

// What is kept says neither link nor code, and not to whom it went.
func TestMemoryHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s, v := must(t, jane(mail("m1", address)), ""), visit(nil)
	enter(t, s, v)
	token := last(v)
	quiet := func(secrets ...string) {
		var memory json.RawMessage
		if err := v.Kept(&memory); err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if strings.Contains(string(memory), secret) {
				t.Errorf("%s is in %s", secret, memory)
			}
		}
	}
	quiet(token, "jane")
	_, code, err := confirm(t, s, v, token)
	if err != nil {
		t.Fatal(err)
	}
	quiet(token, code, "jane")
}

// An unknown account, one without an address and one whose address is no longer
// good: the same work, the same prompt, the same answers, and no mail. Invariant 13.
func TestNobody(t *testing.T) {
	t.Parallel()
	disabled := mail("m1", address)
	disabled.Status = account.Disabled
	known := jane(mail("m1", address))
	want := enter(t, must(t, known, ""), visit(nil))
	for name, c := range map[string]struct {
		r       *repository
		claimed string
	}{
		"unknown": {known, ""}, "none": {jane(), subject}, "disabled": {jane(disabled), subject},
	} {
		s, v := must(t, c.r, ""), visit(func(v *flows.Visit) { v.Claimed = c.claimed })
		before := c.r.looked
		if diff := cmp.Diff(want, enter(t, s, v)); diff != "" || c.r.looked != before+1 {
			t.Errorf("%s: %s after %d look-ups", name, diff, c.r.looked-before)
		}
		if to := v.Sent()[0].To; to != "" {
			t.Errorf("%s: sent to %q", name, to)
		}
		for _, answer := range [][2]string{{"token", last(v)}, {"code", "12345678"}} { // the right link of nobody is none
			if got := try(t, s, v, answer[0], answer[1]); got != "wrong" {
				t.Errorf("%s: %s: %s", name, answer[0], got)
			}
		}
	}
}

// What has neither form, or both, is no answer and costs no attempt.
func TestMalformed(t *testing.T) {
	t.Parallel()
	s, v := must(t, jane(mail("m1", address)), ""), visit(nil)
	enter(t, s, v)
	token := last(v)
	for _, body := range []string{
		`{}`, `{"token":""}`, `{"code":""}`, `{"token":"` + token + `","code":"12345678"}`, `{"token":"` + token + `="}`,
		`{"token":"` + token[1:] + `"}`, `{"token":" ` + token[1:] + `"}`, `{"code":"1234567"}`, `{"code":"1234567x"}`, `{"code":"１2345678"}`,
	} {
		if out, err := s.Answer(t.Context(), v, flows.Input(body)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %v, %v", body, out, err)
		}
	}
}

// E-mail is no factor unless the deployment departs from SP 800-63B-4 §3.1.3.1, and then the least of all.
func TestEvidence(t *testing.T) {
	t.Parallel()
	strong := mail("m1", address)
	strong.Binding = "aal3"
	s, v := must(t, jane(strong), ""), visit(nil)
	enter(t, s, v)
	out, err := s.Answer(t.Context(), v, flows.Input(`{"token":"`+last(v)+`"}`))
	if err != nil || out.Passed() == nil {
		t.Fatal(err)
	}
	e := out.Passed().Evidence
	e.At = now
	for counts, want := range map[bool]assurance.Level{false: assurance.None, true: assurance.AAL1} {
		res := assurance.Assess([]assurance.Evidence{e}, now, assurance.Policy{Deviations: assurance.Deviations{EmailIsFactor: counts}})
		if res.Level != want || e.Authenticator != "m1" || !slices.Equal(res.AMR, []string{"otp", "urn:stile-auth:amr:email"}) {
			t.Errorf("counts %v: %s, %v, %+v", counts, res.Level, res.AMR, e)
		}
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	r := jane()
	for _, good := range []string{"", "lifetime: 30s", "lifetime: 10m"} {
		if _, err := newStep(t, r, good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"lifetime: 11m", "lifetime: 29s", "digits: 6", "to: eve@evil.example"} {
		if _, err := newStep(t, r, bad); err == nil {
			t.Errorf("%s: loads", bad)
		}
	}
	if _, err := magiclink.Type(r, make([]byte, 31)).New(nothing{}); err == nil {
		t.Error("a short key is taken")
	}
}

// nothing is an empty configuration.
type nothing struct{}

func (nothing) Decode(any) error { return nil }
