package contract_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// gone wants the one page for everything that is not right.
func gone(t *testing.T, page *browser.Page, err error) {
	t.Helper()
	must(t, err)
	if page.Handed != nil || page.Status != http.StatusNotFound || !strings.Contains(string(page.Body), "expired or was opened before") {
		t.Errorf("%d %v %s", page.Status, page.Handed, page.Body)
	}
}

func TestALinkIsGoodOnce(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	old(p, "local")
	l := handOver(p)
	early, err := newBrowser(t).Open(t.Context(), l.URI) // somebody looks at it first
	must(t, err)
	b := newBrowser(t)
	page := open(t, b, l.URI)
	for _, other := range []*browser.Browser{newBrowser(t), b} {
		again, err := other.Open(t.Context(), l.URI)
		gone(t, again, err)
	}
	late, err := early.Submit(t.Context(), "Weiter", nil)
	gone(t, late, err)
	other, err := newBrowser(t).Open(t.Context(), w.node.URL()+"/handover") // without the cookie
	gone(t, other, err)
	typed(t, page, "Weiter", rightPassword())
	again, err := page.Submit(t.Context(), "Weiter", rightPassword()) // pressed twice
	gone(t, again, err)
}

// A page is over when its time is, when the run has moved on, and when another link was made.
func TestPagesEnd(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	for name, happens := range map[string]func(p *phone){
		"time":         func(p *phone) { w.clock.pass(5 * time.Minute) },
		"another link": func(p *phone) { handOver(p) },
		"a turn": func(p *phone) {
			brought(p, typed(t, open(t, newBrowser(t), handOver(p).URI), "Weiter", map[string]string{"username": login, "password": "x"}))
		},
		"cancelled": func(p *phone) { p.send(http.MethodDelete, "/v1/flow", "") },
		"restarted": func(p *phone) { p.post(p.view.NextStep.href("restart"), map[string]any{}) },
	} {
		p := newPhone(t, w, "phone")
		old(p, "local")
		l := handOver(p)
		if name != "another link" && name != "a turn" { // which make a page of their own
			page := open(t, newBrowser(t), l.URI)
			happens(p)
			after, err := page.Submit(t.Context(), "Weiter", rightPassword())
			gone(t, after, err)
			continue
		}
		happens(p)
		after, err := newBrowser(t).Open(t.Context(), l.URI)
		gone(t, after, err)
	}
}

// The secret of one thing is not good for another: not a link for its page, nor
// a handle for either.
func TestPagesPurposes(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	old(p, "local")
	l := handOver(p)
	secret := l.URI[strings.LastIndex(l.URI, "/")+1:]
	for _, value := range []string{secret, p.handle, "x", ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.node.URL()+"/handover", http.NoBody)
		must(t, err)
		r.AddCookie(&http.Cookie{Name: "stile-handover", Value: value})
		resp, err := http.DefaultClient.Do(r)
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("a page for %.5s...: %d", value, resp.StatusCode)
		}
	}
	page, err := newBrowser(t).Open(t.Context(), w.node.URL()+"/handover/"+p.handle)
	gone(t, page, err)
	handle := p.handle
	p.handle = secret
	if r := p.show(); !r.is(404, "flow_not_found") {
		t.Errorf("a link is a handle: %d %s", r.status, r.body)
	}
	p.handle = handle
}

// The code completes nothing but the prompt that it is of, in the run that it is
// of, for who has its handle and key, once, and in time.
func TestTheCodeIsOfOneRun(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	victim, attacker := newPhone(t, w, "phone"), newPhone(t, w, "phone")
	old(victim, "local")
	old(attacker, "local")
	// The attacker sends their link to the victim, who signs in there: the redirect
	// comes to the victim's app, whose run refuses it, and the attacker has nothing.
	fromAttacker := typed(t, open(t, newBrowser(t), handOver(attacker).URI), "Weiter", rightPassword())
	handOver(victim)
	if r := brought(victim, fromAttacker); !r.is(422, "handover_refused") || r.view.Assurance.ACR != nil {
		t.Errorf("another run's redirect: %d %s", r.status, r.body)
	}
	if r := attacker.show(); r.view.Assurance.ACR != nil || r.view.NextStep.Type != "WEB_HANDOVER_REQUIRED" {
		t.Errorf("the attacker's run went on: %s", r.body)
	}
	values, err := url.ParseQuery(fromAttacker)
	must(t, err)
	code, state := values.Get("handover"), values.Get("state")
	stolen := attacker.other() // the right handle with another key
	if r := brought(stolen, fromAttacker); !r.is(404, "flow_not_found") {
		t.Errorf("another key: %d %s", r.status, r.body)
	}
	for _, query := range []string{
		"x", "handover=" + code, "handover=" + code + "&state=x", "handover=x&state=" + state, "state=" + state,
		fromAttacker + "&handover=" + code, "handover=" + strings.ToUpper(code) + "&state=" + state, "handover=" + code + "%3D&state=" + state,
	} {
		if r := brought(attacker, query); !r.is(422, "handover_refused") {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	for _, body := range []string{`{"username":"jane","password":"` + password + `"}`, `{}`, `{"queryString":1}`} {
		if r := attacker.send(http.MethodPost, attacker.view.NextStep.href("submit"), body); !r.is(400, "invalid_request") {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	if r := brought(attacker, fromAttacker); r.status != http.StatusOK { // none of that has spent it
		t.Fatalf("%d %s", r.status, r.body)
	}
	old(victim, "local")
	late := typed(t, open(t, newBrowser(t), handOver(victim).URI), "Weiter", rightPassword())
	w.clock.pass(5 * time.Minute)
	if r := brought(victim, late); !r.is(422, "handover_refused") {
		t.Errorf("too late: %d %s", r.status, r.body)
	}
}

// A form that is not the page's own, or not from here, does nothing.
func TestForgedForms(t *testing.T) {
	t.Parallel()
	w := handedWorld(t)
	p := newPhone(t, w, "phone")
	old(p, "local")
	l := handOver(p)
	b := newBrowser(t)
	page := open(t, b, l.URI)
	form, err := page.Form("password")
	must(t, err)
	send := func(address string, fields url.Values, edit func(*http.Request)) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(fields.Encode()))
		must(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range b.Cookies(r.URL) {
			r.AddCookie(c)
		}
		if edit != nil {
			edit(r)
		}
		once := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := once.Do(r)
		must(t, err)
		must(t, resp.Body.Close())
		return resp.StatusCode
	}
	address := w.node.URL() + "/handover"
	with := func(name, value string) url.Values {
		out := url.Values{}
		for k, v := range form.Fields {
			out[k] = slices.Clone(v)
		}
		out.Set("username", login)
		out.Set("password", password)
		out.Set(name, value)
		return out
	}
	good := with("username", login)
	for name, status := range map[string]int{
		"no token":         send(address, with("_token", ""), nil),
		"another token":    send(address, with("_token", strings.Repeat("0", 64)), nil),
		"another turn":     send(address, with("_turn", "2"), nil),
		"another origin":   send(address, good, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }),
		"no origin at all": send(address, good, func(r *http.Request) { r.Header.Set("Origin", "null") }),
		"another site":     send(address, good, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }),
		"a sibling":        send(address, good, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }),
		"no cookie":        send(address, good, func(r *http.Request) { r.Header.Del("Cookie") }),
		"not a form":       send(address, good, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }),
		"too much":         send(address, with("username", strings.Repeat("x", 70<<10)), nil),
	} {
		if status != http.StatusNotFound {
			t.Errorf("%s: %d", name, status)
		}
	}
	for name, fields := range map[string]url.Values{
		"a member more": with("role", "admin"), "no password": with("password", ""), "too long": with("username", strings.Repeat("x", 300)),
		"twice": {"_turn": good["_turn"], "_token": good["_token"], "username": {login}, "password": {"a", "b"}},
	} {
		if status := send(address, fields, nil); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := send(address, good, nil); status != http.StatusSeeOther {
		t.Errorf("the page's own form: %d", status)
	}
	if status := send(address, good, nil); status != http.StatusNotFound { // the browser still has the cookie
		t.Errorf("the page's own form, again: %d", status)
	}
	old(p, "local")
	l = handOver(p)
	if status := send(l.URI, nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); status != http.StatusNotFound {
		t.Errorf("a link opened by another site: %d", status)
	}
	open(t, newBrowser(t), l.URI) // which has not spent it
}
