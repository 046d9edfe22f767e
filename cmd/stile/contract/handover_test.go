package contract_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// handed has flows that an app which can draw little gets through with pages.
const handed = `
flows:
  local: { steps: [{ id: password, type: password }, { id: code, type: totp }] }
  pick:
    steps:
      - { id: password, type: password }
      - id: factor
        choose: [{ id: code, type: totp }, { id: again, type: password }]
  mixed:
    steps:
      - id: first
        choose: [{ id: password, type: password }, { id: code, type: totp }]
  read: { steps: [{ id: password, type: password }, { id: news, type: message, with: { text: news, arguments: { who: "<Jane>" } } }] }
  bind: { steps: [{ id: password, type: password }, { id: bind, type: device_enrolment }] }
targets:
  app: { flow: local, propagate: { type: bearer_jwt, audience: "https://app.bank.example" } }
providers:
  corporate:
    { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }, scopes: [openid],
      assurance: { categories: [knowledge], cap: aal2 } }
clients:
  phone:
    { flows: [local, pick, mixed, read, bind], targets: [app], redirect_uris: ["com.bank.app:/oauth2?of=app"], hand_over: web }
  plain: { flows: [local, pick], redirect_uris: ["com.bank.app:/oauth2"] }
messages:
  en: { news: "Hello {who}." }
  de: { news: "Grüezi {who}." }
`

// old starts a run as an app that can draw a selection and what else it says.
func old(p *phone, flow string, draws ...string) {
	p.t.Helper()
	p.handle = ""
	body := map[string]any{"clientId": p.client, "flow": flow, "locale": "de-CH", "capabilities": append(draws, "WEB_HANDOVER_REQUIRED")}
	if r := p.post("/v1/flows", body); r.status != http.StatusCreated || r.view.NextStep == nil {
		p.t.Fatalf("start of %s: %d %s", flow, r.status, r.body)
	}
}

type link struct{ Prompt, URI, State, RedirectURI string }

// handOver makes a link.
func handOver(p *phone, edits ...func(*http.Request)) link {
	p.t.Helper()
	if p.view.NextStep.Type != "WEB_HANDOVER_REQUIRED" {
		p.t.Fatalf("%s is not handed over", p.view.NextStep.Type)
	}
	r := p.post(p.view.NextStep.href("hand_over"), map[string]any{}, edits...)
	var l link
	if r.status != http.StatusOK || json.Unmarshal(r.view.NextStep.Data, &l) != nil || l.URI == "" {
		p.t.Fatalf("%d %s", r.status, r.body)
	}
	if strings.Contains(l.URI, p.handle) {
		p.t.Errorf("the link has the handle in it: %s", l.URI)
	}
	return l
}

func newBrowser(t *testing.T) *browser.Browser {
	t.Helper()
	b, err := browser.New(browser.Config{})
	must(t, err)
	return b
}

// open goes through a link to its page.
func open(t *testing.T, b *browser.Browser, uri string) *browser.Page {
	t.Helper()
	page, err := b.Open(t.Context(), uri)
	must(t, err)
	if page.Status != http.StatusOK || !strings.Contains(string(page.Body), "phone verlangt das") {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	page, err = page.Submit(t.Context(), "Weiter", nil)
	must(t, err)
	if page.Status != http.StatusOK || page.URL.Path != "/handover" {
		t.Fatalf("%d %v %s", page.Status, page.URL, page.Body)
	}
	return page
}

// typed fills in a page and returns the query that the app gets.
func typed(t *testing.T, page *browser.Page, button string, values map[string]string) string {
	t.Helper()
	back, err := page.Submit(t.Context(), button, values)
	must(t, err)
	if back.Handed == nil {
		t.Fatalf("%d %s", back.Status, back.Body)
	}
	if u := back.Handed; u.Scheme != "com.bank.app" || u.Path != "/oauth2" || u.Query().Get("of") != "app" {
		t.Errorf("back at %v", u)
	}
	return back.Handed.RawQuery
}

// brought answers the prompt with what came back.
func brought(p *phone, query string) reply {
	p.t.Helper()
	return p.post(p.view.NextStep.href("submit"), map[string]any{"queryString": query})
}

func handedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, t, setup{definitions: handed})
	t.Cleanup(func() { w.close(t) })
	return w
}

func rightPassword() map[string]string {
	return map[string]string{"username": login, "password": password}
}

// An app that can draw nothing but hand-overs completes a flow with pages alone.
func TestHandOver(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: handed, store: store})
			defer w.close(t)
			p := newPhone(t, w, "phone")
			old(p, "pick")
			first := p.handle
			if data := string(p.view.NextStep.Data); data != `{"prompt":"PASSWORD_REQUIRED"}` {
				t.Errorf("the app is shown %s", data)
			}
			l := handOver(p)
			if l.Prompt != "PASSWORD_REQUIRED" || !strings.HasPrefix(l.URI, w.node.URL()+"/handover/") {
				t.Errorf("%+v", l)
			}
			page := open(t, newBrowser(t), l.URI)
			if form, err := page.Form("password"); err != nil || form.Types["password"] != "password" || form.Types["username"] != "text" ||
				!strings.Contains(string(page.Body), `<html lang="de">`) {
				t.Errorf("%v %s", err, page.Body)
			}
			query := typed(t, page, "Weiter", rightPassword())
			if p.show(); p.view.Assurance.ACR != nil || p.handle != first {
				t.Errorf("the browser has completed something: %+v", p.view)
			}
			if r := brought(p, query); r.status != http.StatusOK || p.handle == first || p.view.Assurance.ACR == nil {
				t.Fatalf("%d %s", r.status, r.body)
			}
			l = handOver(p)
			if l.Prompt != "SELECTION_REQUIRED" {
				t.Fatalf("%+v", l)
			}
			page = open(t, newBrowser(t), l.URI)
			if r := brought(p, typed(t, page, "Weiter", map[string]string{"select": "code"})); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			code, err := w.code()
			must(t, err)
			r := brought(p, typed(t, open(t, newBrowser(t), handOver(p).URI), "Weiter", map[string]string{"code": code}))
			if r.status != http.StatusOK || r.view.Flow.Status != "completed" || r.view.Result == nil || *r.view.Assurance.ACR != "aal2" {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
}

// What is typed wrongly is a wrong answer, counted in the app's own request.
func TestHandOverOfAWrongAnswer(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	old(p, "local")
	wrong := map[string]string{"username": login, "password": "wrong"}
	query := typed(t, open(t, newBrowser(t), handOver(p).URI), "Weiter", wrong)
	if r := brought(p, query); !r.is(422, "wrong_answer") || r.view.NextStep.Type != "WEB_HANDOVER_REQUIRED" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := brought(p, query); !r.is(422, "handover_refused") {
		t.Errorf("the code is good twice: %d %s", r.status, r.body)
	}
}

// A page shows the text that the definitions have, and nothing in it is markup.
func TestHandOverOfAMessage(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	old(p, "read", "PASSWORD_REQUIRED")
	p.answer()
	page := open(t, newBrowser(t), handOver(p).URI)
	if !strings.Contains(string(page.Body), "Grüezi &lt;Jane&gt;.") {
		t.Errorf("%s", page.Body)
	}
	if r := brought(p, typed(t, page, "Ich habe das gelesen", nil)); r.status != http.StatusOK || r.view.Flow.Status != "completed" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Only what nobody can draw is refused, and at the start.
func TestWhatNobodyCanDraw(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	start := func(client, flow string, draws ...string) reply {
		return p.send(http.MethodPost, "/v1/flows", text(t, map[string]any{"clientId": client, "flow": flow, "capabilities": draws}))
	}
	for name, r := range map[string]reply{
		"a key of the phone":          start("phone", "bind", "PASSWORD_REQUIRED", "WEB_HANDOVER_REQUIRED"),
		"no hand-over of the client":  start("plain", "local", "PASSWORD_REQUIRED", "WEB_HANDOVER_REQUIRED"),
		"an app that knows no pages":  start("phone", "local", "PASSWORD_REQUIRED"),
		"a choose without any option": start("plain", "pick", "SELECTION_REQUIRED", "PIN_REQUIRED"),
	} {
		if !r.is(400, "unsupported_client_capabilities") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// What the app can draw itself goes before what a page would have to.
	old(p, "mixed", "SELECTION_REQUIRED", "OTP_REQUIRED")
	if p.view.NextStep.Type != "OTP_REQUIRED" {
		t.Errorf("asked for %s", p.view.NextStep.Type)
	}
	old(p, "mixed", "SELECTION_REQUIRED")
	if p.view.NextStep.Type != "SELECTION_REQUIRED" {
		t.Fatalf("asked for %s", p.view.NextStep.Type)
	}
	if r := p.post(p.view.NextStep.href("select"), map[string]any{"select": "code"}); r.view.NextStep.Type != "WEB_HANDOVER_REQUIRED" {
		t.Errorf("%s", r.body)
	}
}

// What browsers are told: nothing is kept, framed, scripted or passed on.
func TestPagesAreQuiet(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	old(p, "local")
	l := handOver(p)
	b := newBrowser(t)
	page := open(t, b, l.URI)
	missing, err := b.Open(t.Context(), w.node.URL()+"/handover/x")
	must(t, err)
	for name, h := range map[string]http.Header{"page": page.Header, "gone": missing.Header} {
		csp := h.Get("Content-Security-Policy")
		if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Frame-Options") != "DENY" ||
			!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %v", name, h)
		}
	}
	if csp := page.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' com.bank.app:") {
		t.Errorf("the browser would not go back: %s", csp)
	}
	body := string(page.Body)
	for _, secret := range []string{p.handle, l.URI[strings.LastIndex(l.URI, "/")+1:], l.State} {
		if strings.Contains(body, secret) || strings.Contains(page.URL.String(), secret) {
			t.Errorf("a secret is in the page or its address")
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, " on") && strings.Contains(body, "onclick") {
		t.Errorf("%s", body)
	}
}

// The same request for a link gets the same link, and only with the handle that it was made for.
func TestALinkIsRepeated(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	old(p, "local")
	key := header("Idempotency-Key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	one, two := handOver(p, key), handOver(p, key)
	if one != two {
		t.Errorf("%+v and %+v", one, two)
	}
	if r := p.show(); strings.Contains(r.body, one.URI) || strings.Contains(r.body, one.State) {
		t.Errorf("the link is shown to whoever asks: %s", r.body)
	}
	if fmt.Sprint(one.RedirectURI) != "com.bank.app:/oauth2?of=app" {
		t.Errorf("%+v", one)
	}
	for href, want := range map[string]string{"/v1/flow/hand_over?turn=2": "stale_turn"} {
		if r := p.send(http.MethodPost, href, "{}"); !r.is(409, want) {
			t.Errorf("%s: %d %s", href, r.status, r.body)
		}
	}
	old(p, "local", "PASSWORD_REQUIRED")
	if r := p.send(http.MethodPost, "/v1/flow/hand_over?turn=1", "{}"); !r.is(409, "action_not_allowed") {
		t.Errorf("handed over what the app draws itself: %d %s", r.status, r.body)
	}
}
