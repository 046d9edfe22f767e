package passkeyenrolment_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/steps/passkeyenrolment"
	"github.com/stile-auth/stile/steps/steptest"
	"github.com/stile-auth/stile/steps/webauthn"
	"github.com/stile-auth/stile/steps/webauthntest"
)

func TestConformance(t *testing.T) {
	steptest.Run(t, func(t *testing.T) steptest.Case {
		r := newRepository(t)
		return steptest.Case{
			Type:  passkeyenrolment.Type(r, r, party),
			Visit: run,
			Answer: func(prompt json.RawMessage, _ *flows.Visit, how string) flows.Input {
				credential, err := webauthntest.New(origin).Create(prompt, func(d *webauthntest.Draft) {
					if how == "wrong" {
						d.Client["origin"] = "https://bank.evil.example"
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				return body(credential)
			},
			Break:        func() { r.down = true },
			NeedsSubject: true,
		}
	})
}

func TestType(t *testing.T) {
	t.Parallel()
	typ := passkeyenrolment.Type(nil, nil, party)
	if !typ.Enrols || len(typ.Evidence) != 0 {
		t.Errorf("enrols %v, evidence %v: enrolling is never a proof", typ.Enrols, typ.Evidence)
	}
}

// What is bound is pending, of the run's level, and says what the authenticator said.
func TestBinding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flags byte
		alg   int
	}{
		"ES256": {0, webauthntest.ES256}, "EdDSA": {0, webauthntest.EdDSA}, "RS256": {0, webauthntest.RS256},
		"synced": {webauthntest.Eligible | webauthntest.BackedUp, webauthntest.ES256},
	} {
		r, soft := newRepository(t), webauthntest.New(origin)
		soft.Flags, soft.Algorithm, soft.Counts, soft.Model = soft.Flags|c.flags, c.alg, true, modelID
		id := enrol(t, newStep(t, r, party, "{}"), soft).EnrolledID()
		all, err := r.Authenticators(t.Context(), jane)
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %+v, %v", name, all, err)
		}
		var d account.PasskeyData
		if err := json.Unmarshal(all[0].Data, &d); err != nil {
			t.Fatal(err)
		}
		if len(d.Credential) != 32 || len(d.Key) == 0 || id != webauthn.ID(d.Credential) {
			t.Errorf("%s: %+v", name, d)
		}
		want := account.Authenticator{
			ID: id, Subject: jane, Type: "passkey", Name: "My key", Status: account.Pending, Binding: "aal2", Data: all[0].Data, Created: now,
		}
		if diff := cmp.Diff(want, all[0]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		d.Credential, d.Key = nil, nil
		able := c.flags != 0
		if diff := cmp.Diff(account.PasskeyData{
			Algorithm: c.alg, Model: model, Transports: []string{"internal", "hybrid"}, Counter: 1, BackupEligible: able, BackedUp: able, Owner: "owner",
		}, d); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	r, soft := newRepository(t), webauthntest.New(origin)
	id := enrol(t, newStep(t, r, party, "{}"), soft).EnrolledID()
	activate := func(a *account.Authenticator) error { a.Status = account.Active; return nil }
	if err := r.UpdateAuthenticator(t.Context(), id, activate); err != nil {
		t.Fatal(err)
	}
	s := newStep(t, r, metadata(t, newMaker(t), "hardware", "FIDO_CERTIFIED"), "{ attestation: trusted, attachment: cross-platform, resident_key: preferred, algorithms: [EdDSA] }")
	var got map[string]any
	if err := json.Unmarshal(enter(t, s, visit(run, "owner")), &got); err != nil {
		t.Fatal(err)
	}
	if text, _ := got["challenge"].(string); len(text) != 43 {
		t.Errorf("challenge %q", text)
	}
	excluded, _ := got["excludeCredentials"].([]any)
	if len(excluded) != 1 {
		t.Errorf("excludes %v", excluded)
	}
	delete(got, "challenge")
	delete(got, "excludeCredentials")
	want := map[string]any{
		"rp":                     map[string]any{"id": "bank.example", "name": "Bank"},
		"user":                   map[string]any{"id": webauthn.Handle(jane), "name": "jane", "displayName": "jane"},
		"pubKeyCredParams":       []any{map[string]any{"type": "public-key", "alg": -8.0}},
		"timeout":                300_000.0,
		"authenticatorSelection": map[string]any{"authenticatorAttachment": "cross-platform", "residentKey": "preferred", "requireResidentKey": false, "userVerification": "required"},
		"attestation":            "direct",
		"extensions":             map[string]any{"credProps": true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := soft.Create(enter(t, s, visit(run, "owner"))); err == nil {
		t.Error("an authenticator makes a second passkey")
	}
}

// attacks are all that the answer can say and must not (Web Authentication §7.1).
func attacks() map[string]struct {
	draft func(*webauthntest.Draft)
	want  webauthn.Refusal
} {
	client := func(key string, value any) func(*webauthntest.Draft) {
		return func(d *webauthntest.Draft) { d.Client[key] = value }
	}
	flags := func(f byte) func(*webauthntest.Draft) {
		return func(d *webauthntest.Draft) { d.Flags = f }
	}
	no := false
	return map[string]struct {
		draft func(*webauthntest.Draft)
		want  webauthn.Refusal
	}{
		"type of an assertion":     {client("type", "webauthn.get"), webauthn.WrongType},
		"another challenge":        {client("challenge", "AAAA"), webauthn.WrongChallenge},
		"another site":             {client("origin", "https://bank.evil.example"), webauthn.WrongOrigin},
		"a site below":             {client("origin", "https://evil.login.bank.example"), webauthn.WrongOrigin},
		"an app":                   {client("origin", "android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), webauthn.WrongOrigin},
		"in a frame":               {client("crossOrigin", true), webauthn.CrossOrigin},
		"another party":            {func(d *webauthntest.Draft) { d.Party = "evil.example" }, webauthn.WrongParty},
		"nobody there":             {flags(webauthntest.Verified), webauthn.NotPresent},
		"nobody verified":          {flags(webauthntest.Present), webauthn.NotVerified},
		"backed up, not able":      {flags(webauthntest.Present | webauthntest.Verified | webauthntest.BackedUp), webauthn.WrongBackup},
		"no statement, and one":    {func(d *webauthntest.Draft) { d.Statement = webauthntest.Statement() }, webauthn.NotAttested},
		"a format of nobody":       {func(d *webauthntest.Draft) { d.Format = "Packed" }, webauthn.NotAttested},
		"self-signed, and wrongly": {func(d *webauthntest.Draft) { d.Format, d.Damage = "packed", true }, webauthn.NotAttested},
		"not discoverable":         {func(d *webauthntest.Draft) { d.Resident = &no }, webauthn.NotResident},
		"another id":               {func(d *webauthntest.Draft) { d.ID = []byte("another") }, webauthn.Malformed},
		"too long an id":           {func(d *webauthntest.Draft) { d.ID = make([]byte, 1024); d.Made = d.ID }, webauthn.Malformed},
	}
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	all := attacks()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			out := enrol(t, newStep(t, r, party, "{}"), webauthntest.New(origin), all[name].draft)
			refused(t, out, all[name].want)
			if out.Again() == nil {
				t.Error("the challenge is not replaced")
			}
			if left, err := r.Authenticators(t.Context(), jane); err != nil || len(left) != 0 {
				t.Errorf("what was refused is bound: %+v, %v", left, err)
			}
		})
	}
}

// What was not asked for is not taken: policy is held against the answer.
func TestAlgorithmNotAsked(t *testing.T) {
	t.Parallel()
	soft := webauthntest.New(origin)
	soft.Algorithm = webauthntest.RS256
	refused(t, enrol(t, newStep(t, newRepository(t), party, "{ algorithms: [ES256, EdDSA] }"), soft), webauthn.WrongAlgorithm)
}

// One credential has one owner, also if the owner is the same one or it was removed.
func TestCredentialIsTaken(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]string{"another account": john, "the same account": jane} {
		for _, status := range []account.Status{account.Pending, account.Active, account.Disabled} {
			r, soft := newRepository(t), webauthntest.New(origin)
			s := newStep(t, r, party, "{}")
			one := []byte("one credential for all")
			same := func(d *webauthntest.Draft) { d.ID, d.Made = one, one }
			id := enrol(t, s, soft, same).EnrolledID()
			if err := r.UpdateAuthenticator(t.Context(), id, func(a *account.Authenticator) error { a.Status = status; return nil }); err != nil {
				t.Fatal(err)
			}
			later := run
			later.Subject, later.Claimed, later.RunID = again, again, "run-2"
			v := visit(later, "owner of run-2")
			credential, err := webauthntest.New(origin).Create(enter(t, s, v), same)
			if got, _ := answer(t, s, v, credential, err).Rejected(); got != "taken" {
				t.Errorf("%s, %s: %q", name, status, got)
			}
		}
	}
}

// A challenge binds one credential, however many requests come at once.
func TestOneChallengeOneCredential(t *testing.T) {
	t.Parallel()
	s, marks := newStep(t, newRepository(t), party, "{}"), memory.New()
	one, two := flows.NewVisit(run, "one", marks), flows.NewVisit(run, "two", marks)
	prompt := enter(t, s, one)
	var memory json.RawMessage
	if err := errors.Join(one.Kept(&memory), two.Keep(&memory)); err != nil {
		t.Fatal(err)
	}
	credential, err := webauthntest.New(origin).Create(prompt)
	if answer(t, s, one, credential, err).EnrolledID() == "" {
		t.Fatal("not bound")
	}
	if credential, err = webauthntest.New(origin).Create(prompt); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Answer(t.Context(), two, body(credential)); !errors.Is(err, flows.ErrTaken) {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestLate(t *testing.T) {
	t.Parallel()
	s, v := newStep(t, newRepository(t), party, "{}"), visit(run, "owner")
	credential, err := webauthntest.New(origin).Create(enter(t, s, v))
	v.Now = now.Add(webauthn.ChallengeLife)
	if out := answer(t, s, v, credential, err); out.Asked() == nil {
		t.Errorf("%+v", out)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	s, v := newStep(t, newRepository(t), party, "{}"), visit(run, "owner")
	credential, err := webauthntest.New(origin).Create(enter(t, s, v))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{strings.Repeat("x", 65), "a\\u0000b", "a\\u202eb", "a\\u2028b"} {
		if _, err := s.Answer(t.Context(), v, flows.Input(`{"credential":`+string(credential)+`,"name":"`+name+`"}`)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Nobody can be bound anything.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s, err := passkeyenrolment.Type(newRepository(t), nil, party).New(empty{})
	if err != nil {
		t.Fatal(err)
	}
	nobody := run
	nobody.Subject = ""
	if _, err := s.Enter(t.Context(), visit(nobody, "owner")); !errors.Is(err, passkeyenrolment.ErrNoSubject) {
		t.Errorf("got %v", err)
	}
}

// A subject that no user handle can hold binds nothing.
func TestLongSubject(t *testing.T) {
	t.Parallel()
	long := run
	long.Subject = strings.Repeat("x", 65)
	if _, err := newStep(t, newRepository(t), party, "{}").Enter(t.Context(), visit(long, "owner")); !errors.Is(err, passkeyenrolment.ErrNoSubject) {
		t.Errorf("got %v", err)
	}
}

// lost is an account that is not there.
type lost struct{}

func (lost) Account(context.Context, string) (account.Account, error) {
	return account.Account{}, account.ErrNotFound
}

func TestLostAccount(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	typ := passkeyenrolment.Type(r, lost{}, party)
	s, err := typ.New(empty{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enter(t.Context(), visit(run, "owner")); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// empty is a configuration that says nothing.
type empty struct{}

func (empty) Decode(any) error { return nil }
