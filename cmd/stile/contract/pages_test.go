package contract_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// drawnBy is a relying party "shop" whose only target runs these steps.
func drawnBy(steps string) string {
	return fmt.Sprintf(`flows:
  f:
    steps:
%s
targets:
  t: { flow: f, requires: { acr: aal1 }, propagate: { type: bearer_jwt, audience: "https://t.example" } }
providers: { corporate: { issuer: "https://idp.example", client_id: stile, client_secret: { env: NONE }, scopes: [openid], response_mode: form_post } }
clients:
  shop:
    flows: [f]
    targets: [t]
    redirect_uris: ["https://shop.example/back"]
    provider_redirects: { corporate: "https://shop.example/corporate" }
    dpop: optional
    oauth: { auth: client_secret_basic, secret_hash: %s, grants: [authorization_code], scopes: [openid] }
`, steps, hashed(shopSecret))
}

// pagesOf is a browser that has typed Jane's password in such a flow.
func pagesOf(t *testing.T, steps string, s setup, more ...string) (*world, *party, *visitor) {
	t.Helper()
	s.definitions = drawnBy("      - { id: password, type: password }\n"+steps) + strings.Join(more, "")
	w := newWorld(t, t, s)
	t.Cleanup(func() { w.close(t) })
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address())
	b.signIn()
	return w, p, b
}

// shows fails unless the page has all of that.
func (b *visitor) shows(status int, all ...string) {
	b.t.Helper()
	for _, want := range all {
		if !strings.Contains(b.page, want) || b.status != status {
			b.t.Fatalf("%d, want %d and %s in\n%s", b.status, status, want, b.page)
		}
	}
}

// Terms and consents show what they are about, and both answers have a button.
func TestPagesOfAgreements(t *testing.T) {
	t.Parallel()
	steps := `      - { id: terms, type: terms, with: { document: tos-1, text: about, urls: { en: "https://shop.example/tos" } }, on: { denied: sorry } }
      - { id: ask, type: consent, with: { scopes: [orders, invoices], claims: [email] }, on: { denied: sorry } }
    handlers:
      sorry: [{ id: told, type: message, with: { text: refused } }]`
	const words = "messages: { en: { about: Our rules., scope.orders: Read your orders., refused: We cannot go on. } }\n"
	w, p, b := pagesOf(t, steps, setup{}, words)
	b.shows(http.StatusOK, "Our rules.", `href="https://shop.example/tos"`, `value="true">I agree`, `value="false">I do not agree`)
	b.submit(map[string]string{"_answer": "perhaps"})
	b.shows(http.StatusUnprocessableEntity, `role="alert"`)
	b.submit(map[string]string{"_answer": "true"})
	b.shows(http.StatusOK, "shop asks for:", "<li>Read your orders.</li>", "<li>invoices</li>", "<li>to be told this of you: email</li>")
	b.submit(map[string]string{"_answer": "true"})
	if _, err := p.trade(b.code()); err != nil {
		t.Fatal(err)
	}
	// What was given is remembered, and asked for again once it was taken back.
	w.clock.pass(time.Minute)
	b.open(p.address("prompt", "login"))
	b.submit(map[string]string{"password": password})
	b.code()
	w.clock.pass(time.Minute)
	must(t, w.revoke(account.Consent, "shop"))
	b.open(p.address("prompt", "login"))
	b.submit(map[string]string{"password": password})
	b.shows(http.StatusOK, "shop asks for:")
	b.submit(map[string]string{"_answer": "false"})
	b.shows(http.StatusOK, "We cannot go on.")
	b.submit(nil)
	if got := b.failure(); got != "access_denied" {
		t.Error(got)
	}
}

// What has to be kept is shown as text and as picture, and nothing is fetched for it.
func TestPagesOfSecrets(t *testing.T) {
	t.Parallel()
	_, p, b := pagesOf(t, `      - { id: app, type: totp_enrolment }
      - { id: codes, type: recovery_code_setup }`, setup{person: enrolling()})
	b.shows(http.StatusOK, `<img src="data:image/svg&#43;xml;base64,`, `alt="A QR code`, `href="otpauth://totp/`)
	key := keyOf.FindStringSubmatch(b.page)
	if key == nil {
		t.Fatalf("no key in\n%s", b.page)
	}
	if !strings.Contains(b.policy, "img-src data:") || strings.Contains(b.policy, "script-src") {
		t.Errorf("policy: %s", b.policy)
	}
	b.submit(map[string]string{"code": "000000"})
	b.shows(http.StatusUnprocessableEntity, key[1], `aria-describedby="wrong" aria-invalid="true" autofocus`)
	right, err := totp.GenerateCode(key[1], b.w.clock.now())
	must(t, err)
	b.submit(map[string]string{"code": right})
	b.shows(http.StatusOK, `<ul id="codes">`)
	code := regexp.MustCompile(`<li><code>([^<]+)</code>`).FindStringSubmatch(b.page)
	b.submit(map[string]string{"code": code[1]})
	if _, err := p.trade(b.code()); err != nil {
		t.Fatal(err)
	}
}

var keyOf = regexp.MustCompile(`<code id="key">([A-Z2-7]+)</code>`)

// A page that waits looks again by itself, and early is too early.
func TestPagesThatWait(t *testing.T) {
	t.Parallel()
	w, p, b := pagesOf(t, `      - { id: breath, delay: 20s }`, setup{})
	b.shows(http.StatusOK, `<meta http-equiv="refresh" content="21; url=/sign-in">`)
	b.submit(nil)
	b.shows(http.StatusTooManyRequests, "more seconds")
	w.clock.pass(20 * time.Second)
	b.open(w.node.URL() + "/sign-in")
	if _, err := p.trade(b.code()); err != nil {
		t.Fatal(err)
	}
}

// Of several ways one is picked; another is a button away; two of one kind are told apart.
func TestPagesOfChoices(t *testing.T) {
	t.Parallel()
	w, p, b := pagesOf(t, `      - id: pick
        choose:
          - { id: app, type: totp }
          - { id: again, type: totp, attempts: { max: 3 } }
          - { id: letter, type: recovery_code }`, setup{})
	b.shows(http.StatusOK, "authenticator app shows. (app)", "authenticator app shows. (again)", `id="select-letter"`)
	b.submit(map[string]string{"select": "nothing"})
	b.shows(http.StatusUnprocessableEntity, `<fieldset aria-describedby="wrong">`)
	b.submit(map[string]string{"select": "letter"})
	b.shows(http.StatusOK, `value="choose_other"`)
	b.submit(map[string]string{"_other": "choose_other"})
	b.submit(map[string]string{"select": "app"})
	code, err := w.code()
	must(t, err)
	b.submit(map[string]string{"code": code})
	if _, err := p.trade(b.code()); err != nil {
		t.Fatal(err)
	}
}

// A form of before, of another run in another tab, or with another token does nothing, and says so.
func TestPagesOfBefore(t *testing.T) {
	t.Parallel()
	w, p, b := pagesOf(t, `      - { id: code, type: totp }`, setup{})
	first := b.page
	other := newVisitor(t, w)
	other.client.Jar = b.client.Jar
	other.open(p.address("prompt", "select_account"))
	second := other.page
	b.page = first
	code, err := w.code()
	must(t, err)
	b.submit(map[string]string{"code": code})
	b.shows(http.StatusConflict, "done already", `name="password"`) // the run of the other tab
	b.page = regexp.MustCompile(`(name="_token" value=")[0-9a-f]`).ReplaceAllString(second, `${1}x`)
	b.submit(map[string]string{"username": login, "password": password})
	b.shows(http.StatusConflict, `name="password"`)
	b.signIn()
	b.shows(http.StatusOK, `name="code"`)
	// Whoever has no run here is told so, whatever cookie they bring.
	for _, value := range []string{"", strings.Repeat("A", 43)} {
		stranger := newVisitor(t, w)
		u, err := url.Parse(w.node.URL())
		must(t, err)
		stranger.client.Jar.SetCookies(u, []*http.Cookie{{Name: "stile-run", Value: value, Path: "/"}})
		stranger.open(w.node.URL() + "/sign-in?handle=" + value)
		stranger.shows(http.StatusNotFound, "Go back to the app")
	}
}

// posting is a browser that a provider of the mode form_post has signed on.
func posting(t *testing.T) (*world, *party, *visitor, url.Values) {
	t.Helper()
	clock := newClock()
	address := free(t)
	idp, err := oidctest.Start(oidctest.Config{
		Now: clock.now,
		Clients: []oidctest.Client{{
			ID: "stile", Secret: clientSecret, RedirectURIs: []string{"http://" + address + "/v1/callback/corporate"}, AllowedScopes: []string{"openid", "email"},
		}},
		Users: []oidctest.User{{Username: providerUser, Password: providerPassword, Subject: providerSubject}},
	})
	must(t, err)
	t.Cleanup(func() { must(t, idp.Close()) })
	text := drawnBy("      - { id: sso, type: sso, with: { provider: corporate } }")
	w := newWorld(t, t, setup{definitions: text, clock: clock, provider: idp, address: address})
	t.Cleanup(func() { w.close(t) })
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address())
	link := onward.FindStringSubmatch(b.page)
	if link == nil {
		t.Fatalf("the page leads nowhere: %d\n%s", b.status, b.page)
	}
	return w, p, b, w.posted(t, html.UnescapeString(link[1]))
}

// A provider that posts its answer posts from its own site: the browser's cookies stay
// behind, so a page of ours posts it again. Nobody else's run takes it.
func TestProviderPosts(t *testing.T) {
	t.Parallel()
	w, p, b, form := posting(t)
	to := w.node.URL() + "/v1/callback/corporate"
	own := b.client.Jar
	empty, err := cookiejar.New(nil)
	must(t, err)
	b.client.Jar = empty
	b.post(to, form, "cross-site")
	b.shows(http.StatusOK, `action="/v1/callback/corporate"`, `name="code"`, `name="state"`)
	if b.gone != nil || strings.Contains(b.policy, "form-action") || !strings.Contains(b.policy, "script-src 'sha256-") || strings.Contains(b.policy, "unsafe") {
		t.Errorf("sent to %v; policy %s", b.gone, b.policy)
	}
	b.post(to, form, "same-origin")
	b.shows(http.StatusNotFound, "Go back to the app") // another browser
	b.client.Jar = own
	forged := url.Values{"code": form["code"], "state": {"another"}, "iss": form["iss"]}
	b.post(to, forged, "same-origin")
	b.shows(http.StatusOK, `href="`+w.provider.Issuer()) // no answer to what was asked: it is asked still
	b.post(to, url.Values{"code": {"a", "b"}, "state": form["state"]}, "cross-site")
	b.shows(http.StatusNotFound, "Go back to the app")
	b.post(to, form, "same-origin")
	if _, err := p.trade(b.code()); err != nil {
		t.Fatal(err)
	}
}

// What a provider says instead of an answer ends the run, and the relying party is told.
func TestProviderRefuses(t *testing.T) {
	t.Parallel()
	w, _, b, form := posting(t)
	b.post(w.node.URL()+"/v1/callback/corporate", url.Values{"error": {"access_denied"}, "state": form["state"], "iss": form["iss"]}, "same-origin")
	if got := b.failure(); got != "access_denied" {
		t.Error(got)
	}
}

// post sends a form from a page of that site.
func (b *visitor) post(address string, form url.Values, site string) {
	b.t.Helper()
	b.gone = nil
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	b.did(b.client.Do(r))
}

// offers is the prompt of a passkey as the page gives it to its script.
var offers = regexp.MustCompile(`data-ceremony="(\w+)" data-options="([^"]*)"`)

// A prompt for a passkey works by one script, which the policy knows, and says so where there is none.
func TestPagesOfPasskeys(t *testing.T) {
	t.Parallel()
	_, _, b := pagesOf(t, `      - { id: key, type: passkey_enrolment }`, setup{more: "passkeys: { rp_id: localhost, origins: [\"http://localhost\"] }\n", person: enrolling()})
	given := offers.FindStringSubmatch(b.page)
	if given == nil || given[1] != "create" || !strings.Contains(html.UnescapeString(given[2]), `"challenge":`) {
		t.Fatalf("%d\n%s", b.status, b.page)
	}
	b.shows(http.StatusOK, "<noscript><p>This needs JavaScript", `data-go disabled>`, `<p id="note" role="status">`)
	script := regexp.MustCompile(`(?s)<script>(.*)</script>`).FindStringSubmatch(b.page)
	if want := "script-src '" + digestOf(script[1]) + "'"; !strings.HasSuffix(b.policy, want) {
		t.Errorf("%s, want %s", b.policy, want)
	}
	for _, made := range []string{"", "{", "[]", `{"id":"x"}`} {
		b.submit(map[string]string{"credential": made})
		b.shows(http.StatusUnprocessableEntity, `role="alert"`)
	}
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// enrolling is a person with a password and nothing else: it is enough to bind more.
func enrolling() *users.Person { return &users.Person{} }

// revoke takes back what Jane has agreed to.
func (w *world) revoke(kind, name string) error {
	return w.node.Base.Accounts.Revoke(w.ctx, w.added.Subject, kind, name)
}

// posted signs Jane on at the provider and returns what its page posts.
func (w *world) posted(t *testing.T, address string) url.Values {
	t.Helper()
	own, err := url.Parse(w.node.URL())
	must(t, err)
	b, err := browser.New(browser.Config{Claimed: func(u *url.URL) bool { return u.Host == own.Host }})
	must(t, err)
	page, err := b.Open(t.Context(), address)
	must(t, err)
	for page.Handed == nil {
		button, values := "Allow", map[string]string(nil)
		if _, err := page.Form("code"); err == nil {
			button = "Continue"
		} else if _, err := page.Form("password"); err == nil {
			button, values = "Sign in", map[string]string{"username": providerUser, "password": providerPassword}
		}
		page, err = page.Submit(t.Context(), button, values)
		must(t, err)
	}
	return page.Posted
}
