package hotpenrolment_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/hotpenrolment"
	"github.com/stile-auth/stile/steps/onetime"
	"github.com/stile-auth/stile/steps/steptest"
)

const subject = "subject-of-jane"

var (
	now = time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)
	run = flows.Visit{RunID: "run-1", StepID: "it", Turn: 1, Attempt: 1, Now: now, Subject: subject, Claimed: subject, Level: assurance.AAL2}
)

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

func jane(t testing.TB) *repository {
	t.Helper()
	r := &repository{Accounts: memory.New().Accounts()}
	who := account.Account{Subject: subject, Status: account.Active, Logins: []string{"jane"}, Created: now}
	if err := r.CreateAccount(t.Context(), who, nil, nil); err != nil {
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
	return hotpenrolment.Type(onetime.Config{Accounts: r, Authenticators: r, Sealer: newSealer(t), Issuer: "https://login.bank.example"})
}

func newStep(t testing.TB, r *repository, with string) (flows.Step, error) {
	t.Helper()
	reg, err := flows.NewRegistry(typeOf(t, r))
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: {f: {steps: [{id: it, type: hotp_enrolment, with: {" + with + "}}]}}"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", reg)
	if err != nil {
		return nil, err
	}
	return typeOf(t, r).New(set.Flows["f"].Steps[0].With)
}

type shown struct{ URI, QRCode, QRCodeSVG, Secret string }

func read(t testing.TB, data any) (p shown, key *otp.Key) {
	t.Helper()
	text, err := json.Marshal(data)
	if err := errors.Join(err, json.Unmarshal(text, &p)); err != nil {
		t.Fatal(err)
	}
	if key, err = otp.NewKeyFromURL(p.URI); err != nil || key.Type() != "hotp" {
		t.Fatalf("%s: %v", p.URI, err)
	}
	return p, key
}

// code is what an app shows that has read the URI and was pressed that often.
func code(t testing.TB, key *otp.Key, counter uint64) string {
	t.Helper()
	c, err := hotp.GenerateCodeCustom(key.Secret(), counter, hotp.ValidateOpts{Digits: key.Digits()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func try(t testing.TB, s flows.Step, v *flows.Visit, code string) string {
	t.Helper()
	out, err := s.Answer(t.Context(), v, flows.Input(`{"code":"`+code+`","name":"Jane's token"}`))
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

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		r := jane(t)
		return steptest.Case{
			Type: typeOf(t, r), With: "{}", Visit: run,
			Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
				_, key := read(t, prompt)
				if how == "wrong" {
					return flows.Input(`{"code":"` + code(t, key, 77) + `"}`)
				}
				return flows.Input(`{"code":"` + code(t, key, 0) + `"}`)
			},
			Break: func() { r.down = true }, NeedsSubject: true,
		}
	})
}

// The first code binds, is spent, and the next one is good; nobody can use it before the run has moved on.
func TestFirstCodeIsSpent(t *testing.T) {
	t.Parallel()
	r := jane(t)
	s, err := newStep(t, r, "digits: 8, issuer: My Bank")
	if err != nil {
		t.Fatal(err)
	}
	v := flows.NewVisit(run, "owner", nil)
	out, err := s.Enter(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	p, key := read(t, out.Asked().Data)
	if key.Issuer() != "My Bank" || key.AccountName() != "jane" || key.Secret() != p.Secret {
		t.Errorf("%s", p.URI)
	}
	if got := try(t, s, v, code(t, key, 40)); got != "wrong" {
		t.Errorf("a code that is far ahead: %s", got)
	}
	if got := try(t, s, v, code(t, key, 1)); got != "enrolled" {
		t.Fatal(got)
	}
	again := flows.NewVisit(run, "another owner", nil)
	var memory json.RawMessage
	if err := errors.Join(v.Kept(&memory), again.Keep(memory)); err != nil {
		t.Fatal(err)
	}
	if got := try(t, s, again, code(t, key, 1)); got != "replayed" {
		t.Errorf("the first code for another request: %s", got)
	}
	all, err := r.Authenticators(t.Context(), subject)
	if err != nil || len(all) != 1 || all[0].Status != account.Pending || all[0].Binding != "aal2" || all[0].Type != account.TypeHOTP {
		t.Fatalf("%+v, %v", all, err)
	}
	a := all[0]
	a.Status = account.Active
	for counter, want := range []error{account.ErrWrong, account.ErrUsed, nil} {
		if err := account.UseHOTP(&a, newSealer(t), now, account.HOTPCodes{Code: code(t, key, uint64(counter))}, "another run"); !errors.Is(err, want) {
			t.Errorf("counter %d: %v", counter, err)
		}
	}
}

// The SVG is well-formed and draws the modules that the PNG draws.
func TestPictures(t *testing.T) {
	t.Parallel()
	s, err := newStep(t, jane(t), "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Enter(t.Context(), flows.NewVisit(run, "owner", nil))
	if err != nil {
		t.Fatal(err)
	}
	p, _ := read(t, out.Asked().Data)
	data, ok := strings.CutPrefix(p.QRCodeSVG, "data:image/svg+xml;base64,")
	raw, err := base64.StdEncoding.DecodeString(data)
	var picture struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := errors.Join(err, xml.Unmarshal(raw, &picture)); err != nil || !ok || len(picture.Paths) != 2 || picture.ViewBox == "" {
		t.Fatalf("%s: %v", raw, err)
	}
	// The upper left finder: a dark row of seven modules inside a margin of four.
	if !strings.HasPrefix(picture.Paths[1].D, "M4 4.5h7m") {
		t.Errorf("%.60s", picture.Paths[1].D)
	}
	if !strings.HasPrefix(p.QRCode, "data:image/png;base64,") {
		t.Errorf("%.40s", p.QRCode)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"digits: 5", "digits: 9", "issuer: 'a:b'", "issuer: ''", "algorithm: SHA256"} {
		if _, err := newStep(t, jane(t), bad); err == nil {
			t.Errorf("%s: loads", bad)
		}
	}
}

func TestNobody(t *testing.T) {
	t.Parallel()
	s, err := newStep(t, jane(t), "")
	if err != nil {
		t.Fatal(err)
	}
	v := flows.NewVisit(run, "owner", nil)
	v.Subject = ""
	if _, err := s.Enter(t.Context(), v); !errors.Is(err, onetime.ErrNobody) {
		t.Errorf("got %v", err)
	}
}
