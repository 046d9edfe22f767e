package passkey_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/passkey"
	"github.com/stile-auth/stile/steps/webauthn"
	"github.com/stile-auth/stile/steps/webauthntest"
)

// attacks are all that the signed data can say and must not (Web Authentication
// §7.2), each signed with the right key.
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
	return map[string]struct {
		draft func(*webauthntest.Draft)
		want  webauthn.Refusal
	}{
		"type of a creation":    {client("type", "webauthn.create"), webauthn.WrongType},
		"another challenge":     {client("challenge", "AAAA"), webauthn.WrongChallenge},
		"no challenge":          {client("challenge", ""), webauthn.WrongChallenge},
		"another site":          {client("origin", "https://bank.evil.example"), webauthn.WrongOrigin},
		"a site below":          {client("origin", "https://evil.login.bank.example"), webauthn.WrongOrigin},
		"without TLS":           {client("origin", "http://login.bank.example"), webauthn.WrongOrigin},
		"another port":          {client("origin", "https://login.bank.example:8443"), webauthn.WrongOrigin},
		"another spelling":      {client("origin", "https://login.bank.example:443"), webauthn.WrongOrigin},
		"another app":           {client("origin", "android:apk-key-hash:AAAAQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), webauthn.WrongOrigin},
		"in a frame":            {client("crossOrigin", true), webauthn.CrossOrigin},
		"in a frame of a site":  {client("topOrigin", "https://evil.example"), webauthn.CrossOrigin},
		"another party":         {func(d *webauthntest.Draft) { d.Party = "evil.example" }, webauthn.WrongParty},
		"nobody there":          {flags(webauthntest.Verified), webauthn.NotPresent},
		"nobody verified":       {flags(webauthntest.Present), webauthn.NotVerified},
		"backed up, not able":   {flags(webauthntest.Present | webauthntest.Verified | webauthntest.BackedUp), webauthn.WrongBackup},
		"able all of a sudden":  {flags(webauthntest.Present | webauthntest.Verified | webauthntest.Eligible), webauthn.WrongBackup},
		"another signature":     {func(d *webauthntest.Draft) { d.Damage = true }, webauthn.BadSignature},
		"id of no credential":   {func(d *webauthntest.Draft) { d.ID = []byte("of nobody") }, webauthn.BadSignature},
		"handle of another":     {func(d *webauthntest.Draft) { d.Handle = []byte(john) }, webauthn.WrongHandle},
		"an empty handle":       {func(d *webauthntest.Draft) { d.Handle = []byte{} }, webauthn.WrongHandle},
		"a counter that stands": {func(d *webauthntest.Draft) { d.Counter = 1 }, webauthn.Counted},
		"a counter of zero":     {func(d *webauthntest.Draft) { d.Counter = 0 }, webauthn.Counted},
	}
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	all := attacks()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s, v := newStep(t, w, "{}"), visit(known, "owner")
			credential, err := w.jane.Get(enter(t, s, v), all[name].draft)
			refused(t, answer(t, s, v, credential, err), all[name].want)
			if _, d := w.of(t, jane); d.Counter != 1 || d.BackedUp {
				t.Errorf("what was refused was written down: %+v", d)
			}
		})
	}
}

// The credential of another account is no credential, with whatever handle.
func TestCredentialOfAnother(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string][]byte{"their handle": []byte(john), "my handle": []byte(jane), "no handle": nil} {
		w := newWorld(t)
		s, v := newStep(t, w, "{}"), visit(known, "owner")
		credential, err := w.john.Answer(enter(t, s, v), func(d *webauthntest.Draft) { d.Handle = handle })
		if got, _ := answer(t, s, v, credential, err).Rejected(); got != string(webauthn.BadSignature) {
			t.Errorf("%s: %q", name, got)
		}
	}
	w := newWorld(t)
	s, v := newStep(t, w, "{}"), visit(open, "owner")
	credential, err := w.john.Answer(enter(t, s, v), func(d *webauthntest.Draft) { d.Handle = []byte(jane) })
	refused(t, answer(t, s, v, credential, err), webauthn.BadSignature)
}

// Signed by one's own key in the name of another credential.
func TestKeyOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, data := w.of(t, jane)
	s, v := newStep(t, w, "{}"), visit(known, "owner")
	credential, err := w.john.Answer(enter(t, s, v), func(d *webauthntest.Draft) { d.ID, d.Handle = data.Credential, []byte(jane) })
	refused(t, answer(t, s, v, credential, err), webauthn.BadSignature)
}

// Where nobody is named the passkey has to tell whose it is.
func TestHandleIsRequired(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string][]byte{"none": nil, "empty": {}, "no text": {0xff, 0xfe}, "nobody's": []byte("nobody"), "too long": make([]byte, 65)} {
		w := newWorld(t)
		s, v := newStep(t, w, "{}"), visit(open, "owner")
		credential, err := w.jane.Get(enter(t, s, v), func(d *webauthntest.Draft) { d.Handle = handle })
		if got, _ := answer(t, s, v, credential, err).Rejected(); got != string(webauthn.BadSignature) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A name that nobody has must not let any passkey in.
func TestNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	run := known
	run.Claimed, run.Identifier = "", "nobody"
	s, v := newStep(t, w, "{}"), visit(run, "owner")
	credential, err := w.jane.Answer(enter(t, s, v))
	refused(t, answer(t, s, v, credential, err), webauthn.BadSignature)
}

// A passkey that is removed, disabled or not yet bound answers like none.
func TestUnusable(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*account.Authenticator){
		"disabled": func(a *account.Authenticator) { a.Status = account.Disabled },
		"pending":  func(a *account.Authenticator) { a.Status = account.Pending },
	} {
		for _, run := range []flows.Visit{known, open} {
			w := newWorld(t)
			bound, _ := w.of(t, jane)
			w.edit(t, bound.ID, edit)
			s, v := newStep(t, w, "{}"), visit(run, "owner")
			credential, err := w.jane.Answer(enter(t, s, v))
			if got, _ := answer(t, s, v, credential, err).Rejected(); got != string(webauthn.BadSignature) {
				t.Errorf("%s: %q", name, got)
			}
			if w.updates != 0 {
				t.Errorf("%s: costs a transaction, which tells it from none", name)
			}
		}
	}
}

// An assertion is good for its run, its step and its attempt.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, v := newStep(t, w, "{}"), visit(known, "owner")
	credential, err := w.jane.Get(enter(t, s, v))
	later := visit(known, "later")
	enter(t, s, later)
	refused(t, answer(t, s, later, credential, err), webauthn.WrongChallenge)
	if answer(t, s, v, credential, nil).Passed() == nil {
		t.Error("the first use is refused")
	}
	refused(t, answer(t, s, visitLike(t, v), credential, nil), webauthn.Counted) // same challenge, another request
}

// visitLike is the same visit with another input.
func visitLike(t testing.TB, v *flows.Visit) *flows.Visit {
	t.Helper()
	var memory json.RawMessage
	if err := v.Kept(&memory); err != nil {
		t.Fatal(err)
	}
	out := visit(*v, "another input")
	if err := out.Keep(memory); err != nil {
		t.Fatal(err)
	}
	return out
}

// A challenge is good for five minutes; a late answer is asked again and not counted.
func TestLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, v := newStep(t, w, "{}"), visit(known, "owner")
	credential, err := w.jane.Get(enter(t, s, v))
	v.Now = now.Add(webauthn.ChallengeLife)
	if out := answer(t, s, v, credential, err); out.Asked() == nil {
		t.Errorf("%+v", out)
	}
}

// A passkey that is on many devices has a counter on each: only "always" asks for one that grows.
func TestCounterPolicy(t *testing.T) {
	t.Parallel()
	synced := func(a *webauthntest.Authenticator) { a.Flags |= webauthntest.Eligible | webauthntest.BackedUp }
	zero := func(a *webauthntest.Authenticator) { a.Counts = false }
	for name, c := range map[string]struct {
		soft func(*webauthntest.Authenticator)
		with string
		pass bool
	}{
		"one device":         {func(*webauthntest.Authenticator) {}, "{}", false},
		"many devices":       {synced, "{}", true},
		"many, always":       {synced, "{ counter: always }", false},
		"one that is silent": {zero, "{ counter: always }", true},
	} {
		w := newWorld(t, c.soft)
		s, v := newStep(t, w, c.with), visit(known, "owner")
		credential, err := w.jane.Get(enter(t, s, v), func(d *webauthntest.Draft) { d.Counter = min(d.Counter, 1) })
		if got := answer(t, s, v, credential, err).Passed() != nil; got != c.pass {
			t.Errorf("%s: passed %v", name, got)
		}
	}
}

// Whether a passkey is backed up may change; what it is able to may not.
func TestBackupIsWrittenDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(a *webauthntest.Authenticator) { a.Flags |= webauthntest.Eligible })
	s, v := newStep(t, w, "{}"), visit(known, "owner")
	credential, err := w.jane.Get(enter(t, s, v), func(d *webauthntest.Draft) { d.Flags |= webauthntest.BackedUp })
	if answer(t, s, v, credential, err).Passed() == nil {
		t.Fatal("not accepted")
	}
	if _, d := w.of(t, jane); !d.BackedUp || !d.BackupEligible {
		t.Errorf("%+v", d)
	}
}

// What is no credential is refused, and is nobody's mistake but the client's.
func TestMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, v := newStep(t, w, "{}"), visit(known, "owner")
	credential, err := w.jane.Get(enter(t, s, v))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c, response map[string]any){
		"no id":           func(c, _ map[string]any) { delete(c, "id") },
		"two ids":         func(c, _ map[string]any) { c["rawId"] = "AAAA" },
		"another type":    func(c, _ map[string]any) { c["type"] = "password" },
		"no client data":  func(_, r map[string]any) { delete(r, "clientDataJSON") },
		"short data":      func(_, r map[string]any) { r["authenticatorData"] = "AAAA" },
		"no base64":       func(_, r map[string]any) { r["signature"] = "+/+/" },
		"a list":          func(c, _ map[string]any) { c["response"] = []any{} },
		"leftover bytes":  func(_, r map[string]any) { r["authenticatorData"] = r["authenticatorData"].(string)[:48] + "AAAAAAAA" },
		"no authenticity": func(_, r map[string]any) { delete(r, "authenticatorData") },
	} {
		var c map[string]any
		if err := json.Unmarshal(credential, &c); err != nil {
			t.Fatal(err)
		}
		change(c, c["response"].(map[string]any))
		spoiled, err := json.Marshal(c)
		if got, _ := answer(t, s, v, spoiled, err).Rejected(); got != string(webauthn.Malformed) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// meanwhile disables a passkey between the look-up and the use.
type meanwhile struct{ *repository }

func (m meanwhile) UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error {
	disable := func(a *account.Authenticator) error { a.Status = account.Disabled; return nil }
	if err := m.Accounts.UpdateAuthenticator(ctx, id, disable); err != nil {
		return err
	}
	return m.Accounts.UpdateAuthenticator(ctx, id, fn)
}

func TestDisabledMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, v := made(t, passkey.Type(meanwhile{w.repository}, party), "{}"), visit(known, "owner")
	credential, err := w.jane.Get(enter(t, s, v))
	refused(t, answer(t, s, v, credential, err), webauthn.BadSignature)
}
