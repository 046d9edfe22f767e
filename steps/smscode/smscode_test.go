package smscode_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/emailcode"
	"github.com/stile-auth/stile/steps/smscode"
	"github.com/stile-auth/stile/steps/steptest"
)

const (
	subject = "subject-of-jane"
	number  = "+41791234567"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// repository holds Jane's authenticators. It can fail on demand.
type repository struct {
	auths []account.Authenticator
	down  bool
}

func (r *repository) Authenticators(_ context.Context, who string) ([]account.Authenticator, error) {
	switch {
	case r.down:
		return nil, errors.New("database is down")
	case who != subject:
		return nil, nil
	}
	return slices.Clone(r.auths), nil
}

func phone(to string) account.Authenticator {
	data, _ := json.Marshal(account.PhoneData{Number: to})
	return account.Authenticator{
		ID: "p1", Subject: subject, Type: account.TypePhone, Status: account.Active, Binding: "aal2", Data: data, Created: now,
	}
}

// nothing is an empty configuration.
type nothing struct{}

func (nothing) Decode(any) error { return nil }

func newStep(t testing.TB, r *repository) flows.Step {
	t.Helper()
	s, err := smscode.Type(r, make([]byte, 32)).New(nothing{})
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

// enter returns the destination that is shown.
func enter(t testing.TB, s flows.Step, v *flows.Visit) string {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil || out.Asked() == nil {
		t.Fatalf("%v, %v", out, err)
	}
	text, err := json.Marshal(out.Asked().Data)
	var p struct{ Destination string }
	if err := errors.Join(err, json.Unmarshal(text, &p)); err != nil {
		t.Fatal(err)
	}
	return p.Destination
}

func last(v *flows.Visit) string { return v.Sent()[len(v.Sent())-1].Args["code"] }

func TestConformance(t *testing.T) {
	steptest.Run(t, func(*testing.T) steptest.Case {
		r := &repository{auths: []account.Authenticator{phone(number)}}
		return steptest.Case{
			Type: smscode.Type(r, make([]byte, 32)), With: "{}",
			Visit: flows.Visit{RunID: "run-0", StepID: "it", Attempt: 1, Turn: 1, Now: now, Claimed: subject, Identifier: "jane"},
			Answer: func(_ json.RawMessage, v *flows.Visit, how string) flows.Input {
				code := "000000"
				if len(v.Sent()) > 0 {
					code = last(v)
				}
				if how == "wrong" {
					code = string('0'+(code[0]-'0'+1)%10) + code[1:]
				}
				return flows.Input(`{"code":"` + code + `"}`)
			},
			Secrets: []string{number, number[4:]},
			Break:   func() { r.down = true },
		}
	})
}

func TestMessage(t *testing.T) {
	t.Parallel()
	v := visit(nil)
	enter(t, newStep(t, &repository{auths: []account.Authenticator{phone("+41 79 123 45 67")}}), v)
	want := flows.Message{
		Channel: "sms", To: number, Template: "sms_code", Locale: "de", Expires: now.Add(10 * time.Minute),
		Args: map[string]string{"code": last(v), "minutes": "10"},
	}
	if diff := cmp.Diff(want, v.Sent()[0]); diff != "" {
		t.Error(diff)
	}
}

// Before the first proof the destination depends on what was typed and on nothing else, where that is a number.
func TestDestination(t *testing.T) {
	t.Parallel()
	s := newStep(t, &repository{auths: []account.Authenticator{phone(number)}})
	for name, c := range map[string]struct {
		change func(*flows.Visit)
		want   string
	}{
		"by name":                  {nil, "***67"},
		"by number, known":         {func(v *flows.Visit) { v.Identifier = "+44 20 7946 0999" }, "***99"},
		"by number, unknown":       {func(v *flows.Visit) { v.Identifier, v.Claimed = "+442079460999", "" }, "***99"},
		"by number, when it is me": {func(v *flows.Visit) { v.Identifier, v.Subject = "+442079460999", subject }, "***67"},
	} {
		if got := enter(t, s, visit(c.change)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	decoys := map[string]bool{}
	for i := range 200 {
		v := visit(func(v *flows.Visit) { v.Claimed, v.Identifier = "", fmt.Sprintf("nobody-%d", i) })
		got := enter(t, s, v)
		if again := enter(t, s, v); again != got || len(got) != len("***67") || v.Sent()[0].To != "" {
			t.Errorf("%s, and then %s; sent to %q", got, again, v.Sent()[0].To)
		}
		decoys[got] = true
	}
	if len(decoys) < 60 {
		t.Errorf("200 names, %d decoys", len(decoys))
	}
}

// An account without a good number is nobody.
func TestNobody(t *testing.T) {
	t.Parallel()
	disabled := phone(number)
	disabled.Status = account.Disabled
	mail := phone(number)
	mail.Type = account.TypeEmail
	broken := phone(number)
	broken.Data = []byte("{")
	for name, a := range map[string]account.Authenticator{
		"disabled": disabled, "of another type": mail, "no number": phone("0791234567"), "no data": broken,
	} {
		s, v := newStep(t, &repository{auths: []account.Authenticator{a}}), visit(nil)
		enter(t, s, v)
		out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+last(v)+`"}`))
		if reason, ok := out.Rejected(); err != nil || !ok || reason != "wrong" || v.Sent()[0].To != "" {
			t.Errorf("%s: %+v, %v; sent to %q", name, out, err, v.Sent()[0].To)
		}
	}
}

// A code that one step has sent is none of another's, even with one key, one run and one id.
func TestOtherStepsCode(t *testing.T) {
	t.Parallel()
	a := phone(number)
	mail := a
	mail.Type = account.TypeEmail
	mail.Data = []byte(`{"address":"jane@bank.example"}`)
	mailed, err := emailcode.Type(&repository{auths: []account.Authenticator{mail}}, make([]byte, 32)).New(nothing{})
	if err != nil {
		t.Fatal(err)
	}
	v, w := visit(nil), visit(nil)
	enter(t, mailed, v)
	var memory json.RawMessage
	if err := errors.Join(v.Kept(&memory), w.Keep(memory)); err != nil {
		t.Fatal(err)
	}
	out, err := newStep(t, &repository{auths: []account.Authenticator{a}}).Answer(t.Context(), w, flows.Input(`{"code":"`+last(v)+`"}`))
	if _, ok := out.Rejected(); err != nil || !ok {
		t.Errorf("%+v, %v", out, err)
	}
}

// One factor, restricted, over a channel of its own (SP 800-63B-4 §3.2.9).
func TestEvidence(t *testing.T) {
	t.Parallel()
	s, v := newStep(t, &repository{auths: []account.Authenticator{phone(number)}}), visit(nil)
	enter(t, s, v)
	out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+last(v)+`"}`))
	if err != nil || out.Passed() == nil {
		t.Fatal(err)
	}
	e := out.Passed().Evidence
	want := assurance.Evidence{
		Method: assurance.SMS, Authenticator: "p1", Categories: []assurance.Category{assurance.Possession}, Channel: "telephone",
		ReplayResistant: true, Restricted: true, Binding: assurance.AAL2, Cap: assurance.AAL3,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	e.At = now
	password := assurance.Evidence{
		Method: assurance.Password, Authenticator: "p", At: now, Categories: []assurance.Category{assurance.Knowledge},
		Binding: assurance.AAL3, Cap: assurance.AAL3,
	}
	res := assurance.Assess([]assurance.Evidence{e, password}, now, assurance.Policy{})
	if diff := cmp.Diff([]string{"mca", "mfa", "pwd", "sms"}, res.AMR); diff != "" || res.Level != assurance.AAL1 {
		t.Errorf("%s: %s", res.Level, diff)
	}
}
