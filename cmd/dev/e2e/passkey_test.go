package e2e_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

const (
	join  = `window.flow = new Flow(); await flow.start({ flow: "join" }); await flow.answer({ username: "` + login + `", password: "` + password + `" });`
	enter = `window.flow = new Flow(); await flow.start({ target: "vault" });`
	named = `window.flow = new Flow(); await flow.start({ target: "vault", loginHint: "` + login + `" });`
)

// enrol makes a passkey in the browser.
func (w *world) enrol() {
	w.t.Helper()
	if r := w.do(join + `return flow.create("This laptop")`); r.Status != "completed" || r.ACR != "aal1" || !slices.Equal(r.AMR, []string{"pwd"}) {
		w.t.Fatalf("%+v", r)
	}
}

// A passkey that Chromium makes signs on at the target: found by the browser
// itself, named by the app, and picked in the field of the user name
// (conditional mediation; WebAuthn Level 3 §5.1.4).
func TestPasskey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	kept := w.credentials()
	if len(kept) != 1 || !kept[0].IsResidentCredential || kept[0].RpID != "localhost" || kept[0].UserName != login {
		t.Fatalf("the authenticator holds %+v", kept)
	}
	last := kept[0].SignCount
	for name, script := range map[string]string{
		"discovered":  enter + `return flow.get()`,
		"named":       named + `return flow.get()`,
		"conditional": enter + `return flow.get({ mediation: "conditional" })`,
	} {
		r := w.do(script)
		if r.Status != "completed" || r.ACR != "aal1" || r.Token == "" || !slices.Equal(r.AMR, []string{"mfa", "pop", "user"}) {
			t.Errorf("%s: %+v", name, r)
		}
		if now := w.credentials()[0].SignCount; now <= last {
			t.Errorf("%s: the counter stands at %v after %v", name, now, last)
		} else {
			last = now
		}
	}
}

// Who has a passkey here makes no second one in the same authenticator.
func TestPasskeyTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	if r := w.do(join + `return flow.create("Again")`); r.Error != "InvalidStateError" {
		t.Errorf("%+v", r)
	}
	if n := len(w.credentials()); n != 1 {
		t.Errorf("there are %d passkeys", n)
	}
}

// What is not right is refused by the server, and nothing is proved.
func TestPasskeyRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	for name, tamper := range map[string]string{
		"signature": `(c) => { const s = c.response.signature; c.response.signature = s.slice(0, -8) + (s.slice(-8, -7) === "A" ? "B" : "A") + s.slice(-7); return c }`,
		"user":      `(c) => { c.response.userHandle = "c29tZWJvZHk"; return c }`,
		"client":    `(c) => { c.response.clientDataJSON = btoa(atob(c.response.clientDataJSON.replaceAll("-", "+").replaceAll("_", "/")).replace("localhost", "evil.test")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""); return c }`,
	} {
		r := w.do(enter + `return flow.get({ tamper: ` + tamper + ` })`)
		if r.HTTP != 422 || r.ACR != "" || r.Asks != "PASSKEY_REQUIRED" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// What was answered once is no answer in another run.
	r := w.do(enter + `await flow.get(); const old = flow.last;` + enter + `return flow.answer({ credential: old })`)
	if r.HTTP != 422 || r.ACR != "" {
		t.Errorf("replayed: %+v", r)
	}
	// Another site gets none of the passkeys, and what it gets is worth nothing here.
	u, err := url.Parse(w.app)
	must(t, err)
	u.Host = "127.0.0.1:" + u.Port()
	must(t, chromedp.Do(w.ctx, chromedp.Navigate(u.String())))
	if r := w.do(fmt.Sprintf(`await navigator.credentials.get({ publicKey: { challenge: new Uint8Array(32), rpId: %q } })`, "localhost")); r.Error != "SecurityError" {
		t.Errorf("another site: %+v", r)
	}
}

// The step asks that the person is verified: an authenticator that does not is refused, by the browser already.
func TestPasskeyUnverified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	_, err := chromedp.Call(w.ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: w.device})
	must(t, err)
	if r := w.do(enter + `return flow.get()`); r.Error != "NotAllowedError" {
		t.Errorf("%+v", r)
	}
	// The same if the page asks for less than the server said.
	r := w.do(enter + `flow.view.nextStep.data.userVerification = "discouraged"; return flow.get()`)
	if r.HTTP != 422 || r.ACR != "" {
		t.Errorf("%+v", r)
	}
}

// A passkey whose counter goes back was copied (WebAuthn Level 3 §7.2 step 22),
// and one that can suddenly be backed up is another (step 18).
func TestPasskeyCopied(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*webauthn.SetCredentialPropertiesParams){
		"counter": func(c *webauthn.SetCredentialPropertiesParams) { c.SignCount = new(0.0) },
		"backup":  func(c *webauthn.SetCredentialPropertiesParams) { c.BackupEligibility = new(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.enrol()
			if r := w.do(enter + `return flow.get()`); r.Status != "completed" {
				t.Fatalf("%+v", r)
			}
			p := webauthn.SetCredentialPropertiesParams{AuthenticatorID: w.device, CredentialID: w.credentials()[0].CredentialID}
			change(&p)
			_, err := chromedp.Call(w.ctx, webauthn.SetCredentialProperties, p)
			must(t, err)
			if r := w.do(enter + `return flow.get()`); r.HTTP != 422 || r.ACR != "" {
				t.Errorf("%+v", r)
			}
		})
	}
}
