package totpenrolment_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"image/png"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/onetime"
	"github.com/stile-auth/stile/steps/steptest"
	"github.com/stile-auth/stile/steps/totpenrolment"
)

const (
	subject = "subject-of-jane"
	login   = "jane@bank.example"
)

var now = time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)

// repository can fail on demand.
type repository struct {
	*memory.Accounts
	down bool
}

func (r *repository) AddAuthenticator(ctx context.Context, a account.Authenticator) error {
	if r.down {
		return errors.New("database is down")
	}
	return r.Accounts.AddAuthenticator(ctx, a)
}

func jane(t testing.TB, auths ...account.Authenticator) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	who := account.Account{Subject: subject, Status: account.Active, Logins: []string{login}, Created: now}
	if err := r.CreateAccount(t.Context(), who, auths, nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func newSealer(t testing.TB) account.Sealer {
	t.Helper()
	s, err := seal.New(seal.Key{ID: "k1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func typeOf(t testing.TB, r *repository) flows.StepType {
	t.Helper()
	return totpenrolment.Type(onetime.Config{
		Accounts: r, Authenticators: r, Sealer: newSealer(t), Issuer: "https://login.bank.example:8443/auth",
	})
}

// newStep makes a step with that configuration, as a definition has it.
func newStep(t testing.TB, r *repository, with string) (flows.Step, error) {
	t.Helper()
	reg, err := flows.NewRegistry(typeOf(t, r))
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: {f: {steps: [{id: it, type: totp_enrolment, with: {" + with + "}}]}}"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", reg)
	if err != nil {
		return nil, err
	}
	return typeOf(t, r).New(set.Flows["f"].Steps[0].With)
}

func must(t testing.TB, r *repository, with string) flows.Step {
	t.Helper()
	s, err := newStep(t, r, with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var run = flows.Visit{RunID: "run-1", StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Level: assurance.AAL2}

func visit(owner string) *flows.Visit { return flows.NewVisit(run, owner, nil) }

type shown struct {
	URI, QRCode, Secret string
	Digits, Period      int
}

func enter(t testing.TB, s flows.Step, v *flows.Visit) shown {
	t.Helper()
	out, err := s.Enter(t.Context(), v)
	if err != nil || out.Asked() == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	text, err := json.Marshal(out.Asked().Data)
	var p shown
	if err := errors.Join(err, json.Unmarshal(text, &p)); err != nil {
		t.Fatal(err)
	}
	return p
}

// code is what an app shows that has read the URI.
func code(t testing.TB, uri string, at time.Time) string {
	t.Helper()
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		t.Fatal(err)
	}
	c, err := totp.GenerateCodeCustom(key.Secret(), at, totp.ValidateOpts{
		Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// try answers, and says what became of it.
func try(t testing.TB, s flows.Step, v *flows.Visit, code string) string {
	t.Helper()
	out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+code+`","name":"Jane's app"}`))
	if err != nil {
		return err.Error()
	}
	if reason, ok := out.Rejected(); ok {
		return reason
	}
	if out.EnrolledID() != "" {
		return "enrolled"
	}
	return "?"
}

func the(t testing.TB, r *repository) account.Authenticator {
	t.Helper()
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d authenticators, %v", len(all), err)
	}
	return all[0]
}

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		r := jane(t)
		return steptest.Case{
			Type: typeOf(t, r), With: "{}", Visit: run,
			Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
				var p shown
				if err := json.Unmarshal(prompt, &p); err != nil {
					t.Fatal(err)
				}
				right := code(t, p.URI, now)
				if how == "wrong" {
					right = wrong(right)
				}
				return flows.Input(`{"code":"` + right + `"}`)
			},
			Break: func() { r.down = true }, NeedsSubject: true,
		}
	})
}

func wrong(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

// What apps read is what the server checks, whatever is configured.
func TestEveryKindOfCode(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"SHA1", "SHA256", "SHA512"} {
		for _, digits := range []string{"6", "7", "8"} {
			r := jane(t)
			s, v := must(t, r, "issuer: My Bank, algorithm: "+algorithm+", digits: "+digits), visit("owner")
			p := enter(t, s, v)
			key, err := otp.NewKeyFromURL(p.URI)
			if err != nil || key.Issuer() != "My Bank" || key.AccountName() != login || key.Algorithm().String() != algorithm ||
				key.Digits().String() != digits || key.Secret() != p.Secret || p.Period != 30 {
				t.Errorf("%s: %v", p.URI, err)
			}
			if n := map[string]int{"SHA1": 32, "SHA256": 52, "SHA512": 103}[algorithm]; len(p.Secret) != n {
				t.Errorf("%s: %d characters of seed", algorithm, len(p.Secret))
			}
			if got := try(t, s, v, code(t, p.URI, now)); got != "enrolled" {
				t.Errorf("%s, %s digits: %s", algorithm, digits, got)
			}
		}
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	p := enter(t, must(t, jane(t), ""), visit("owner"))
	data, ok := strings.CutPrefix(p.QRCode, "data:image/png;base64,")
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil || !ok {
		t.Fatalf("%s: %v", p.QRCode, err)
	}
	picture, err := png.Decode(bytes.NewReader(raw))
	if err != nil || picture.Bounds().Dx() < 300 {
		t.Errorf("%v", err)
	}
	if !strings.Contains(p.URI, "login.bank.example:jane") && !strings.Contains(p.URI, "login.bank.example:"+login) {
		t.Errorf("no host in %s", p.URI)
	}
}

// The seed is sealed, the level is the run's, and until the run has moved on nobody can use it.
func TestWhatIsBound(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := must(t, r, ""), visit("owner")
	p := enter(t, s, v)
	if got := try(t, s, v, code(t, p.URI, now)); got != "enrolled" {
		t.Fatal(got)
	}
	a := the(t, r)
	if bytes.Contains(a.Data, []byte(p.Secret)) {
		t.Error("the seed is stored as it is")
	}
	want := account.Authenticator{
		ID: a.ID, Subject: subject, Type: account.TypeTOTP, Name: "Jane's app", Status: account.Pending, Binding: "aal2", Data: a.Data, Created: now,
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
}

// The code that binds is spent, and the next one is good: T-42.
func TestFirstCodeIsSpent(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := must(t, r, ""), visit("owner")
	p := enter(t, s, v)
	if got := try(t, s, v, code(t, p.URI, now)); got != "enrolled" {
		t.Fatal(got)
	}
	a := the(t, r)
	a.Status = account.Active
	if err := account.UseTOTP(&a, newSealer(t), now, code(t, p.URI, now), "another run"); !errors.Is(err, account.ErrUsed) {
		t.Errorf("the code that bound it: %v", err)
	}
	later := now.Add(30 * time.Second)
	if err := account.UseTOTP(&a, newSealer(t), later, code(t, p.URI, later), "another run"); err != nil {
		t.Errorf("the next code: %v", err)
	}
}

// An app whose clock is ahead shows it by its first code, and is at home from then on (RFC 6238 §6).
func TestClockAhead(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := must(t, r, ""), visit("owner")
	p := enter(t, s, v)
	ahead := now.Add(30 * time.Second)
	if got := try(t, s, v, code(t, p.URI, ahead)); got != "enrolled" {
		t.Fatal(got)
	}
	a := the(t, r)
	a.Status = account.Active
	if err := account.UseTOTP(&a, newSealer(t), ahead, code(t, p.URI, ahead), "another run"); !errors.Is(err, account.ErrUsed) {
		t.Errorf("the code that bound it: %v", err)
	}
	if err := account.UseTOTP(&a, newSealer(t), ahead, code(t, p.URI, ahead.Add(30*time.Second)), "another run"); err != nil {
		t.Errorf("the next code, early: %v", err)
	}
}

// A code is shown as long as the definition says.
func TestPeriod(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := must(t, r, "period: 60s"), visit("owner")
	p := enter(t, s, v)
	if p.Period != 60 || !strings.Contains(p.URI, "period=60") {
		t.Errorf("%+v", p)
	}
	if got := try(t, s, v, code(t, p.URI, now)); got != "enrolled" {
		t.Error(got)
	}
}

// Only the seed that is shown binds, and only by its code.
func TestWrongCodes(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := must(t, r, ""), visit("owner")
	first := enter(t, s, v)
	p := enter(t, s, v)
	for name, c := range map[string]string{
		"wrong": wrong(code(t, p.URI, now)), "of the seed before": code(t, first.URI, now), "too old": code(t, p.URI, now.Add(-time.Minute)),
		"to come": code(t, p.URI, now.Add(time.Minute)),
	} {
		if got := try(t, s, v, c); got != "wrong" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if all, err := r.Authenticators(t.Context(), subject); err != nil || len(all) != 0 {
		t.Errorf("%d were bound, %v", len(all), err)
	}
	if got := try(t, s, v, code(t, p.URI, now)); got != "enrolled" {
		t.Errorf("the right one after them: %s", got)
	}
}

// After a crash the next code does, is spent as well, and nothing is bound twice.
func TestAgainAfterACrash(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, v := must(t, r, ""), visit("owner")
	p := enter(t, s, v)
	if got := try(t, s, v, code(t, p.URI, now)); got != "enrolled" {
		t.Fatal(got)
	}
	var memory json.RawMessage
	later := run
	later.Now = now.Add(30 * time.Second)
	again := flows.NewVisit(later, "another owner", nil)
	if err := errors.Join(v.Kept(&memory), again.Keep(memory)); err != nil {
		t.Fatal(err)
	}
	if got := try(t, s, again, code(t, p.URI, now)); got != "replayed" {
		t.Errorf("the first code for another request: %s", got)
	}
	next := code(t, p.URI, later.Now)
	if got := try(t, s, again, next); got != "enrolled" {
		t.Fatal(got)
	}
	a := the(t, r)
	a.Status = account.Active
	if err := account.UseTOTP(&a, newSealer(t), later.Now, next, "another run"); !errors.Is(err, account.ErrUsed) {
		t.Errorf("the second code: %v", err)
	}
	if err := r.UpdateAuthenticator(t.Context(), a.ID, func(a *account.Authenticator) error { a.Status = account.Disabled; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := try(t, s, again, next); got == "enrolled" {
		t.Error("what was removed meanwhile is bound again")
	}
}

// Every authenticator is one more that a guess is tried on.
func TestFull(t *testing.T) {
	t.Parallel()
	var auths []account.Authenticator
	for i := range 5 {
		auths = append(auths, account.Authenticator{ID: string(rune('a' + i)), Subject: subject, Type: account.TypeTOTP, Status: account.Active, Created: now})
	}
	s := must(t, jane(t, auths...), "")
	if out, err := s.Enter(t.Context(), visit("owner")); err != nil || out.Exited() != "full" {
		t.Errorf("%+v, %v", out, err)
	}
	auths[2].Status = account.Disabled
	if out, err := must(t, jane(t, auths...), "").Enter(t.Context(), visit("owner")); err != nil || out.Asked() == nil {
		t.Errorf("four: %+v, %v", out, err)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"digits: 5", "digits: 9", "algorithm: MD5", "algorithm: sha1", "issuer: 'a:b'", "issuer: ''", "period: 60", "period: 14s", "period: 121s", "period: 30500ms"} {
		if _, err := newStep(t, jane(t), bad); err == nil {
			t.Errorf("%s: loads", bad)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	s, v := must(t, jane(t), ""), visit("owner")
	p := enter(t, s, v)
	right := code(t, p.URI, now)
	for _, in := range []string{
		`{"code":"` + right[:5] + `"}`, `{"code":"` + right + `0"}`, `{"code":"12345a"}`,
		`{"code":"` + right + `","name":"a\u202eb"}`, `{"code":"` + right + `","name":"` + strings.Repeat("a", 65) + `"}`,
	} {
		if out, err := s.Answer(t.Context(), v, flows.Input(in)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %+v, %v", in, out, err)
		}
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	s, v := must(t, jane(t), ""), visit("owner")
	v.Subject = ""
	if _, err := s.Enter(t.Context(), v); !errors.Is(err, onetime.ErrNobody) {
		t.Errorf("got %v", err)
	}
}
