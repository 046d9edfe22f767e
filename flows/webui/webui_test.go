package webui_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/webui"
)

// run is an engine with one page.
type run struct {
	*flows.Engine // what pages of a sign-in need; they are tested with a real one

	page     flows.Page
	err      error
	answered []flows.Input
	link     flows.LinkPage
	did      []string // on the page of a link
}

func (r *run) Linked(context.Context, flows.Secret, string) (flows.Page, error) { return r.page, r.err }

func (r *run) OpenLink(context.Context, flows.Secret, string) (flows.Secret, error) {
	return "secret-of-the-page", r.err
}

func (r *run) Page(_ context.Context, page flows.Secret, _ string) (flows.Page, error) {
	if page != "secret-of-the-page" {
		return flows.Page{}, &flows.Problem{Kind: flows.KindNotFound}
	}
	return r.page, r.err
}

func (r *run) AnswerPage(_ context.Context, _ flows.Secret, _ int, in flows.Input, _ string) (string, error) {
	r.answered = append(r.answered, in)
	return r.page.Redirect + "?handover=x&state=y", r.err
}

func (r *run) MailedLink(_ context.Context, link flows.Secret, _ string) (flows.LinkPage, error) {
	r.did = append(r.did, "look "+string(link))
	return r.link, r.err
}

func (r *run) ConfirmLink(_ context.Context, link flows.Secret, _ string) (flows.LinkPage, error) {
	r.did = append(r.did, "confirm "+string(link))
	page := r.link
	page.Code = "12345678"
	return page, r.err
}

func (r *run) DenyLink(_ context.Context, link flows.Secret, _ string) (flows.LinkPage, error) {
	r.did = append(r.did, "deny "+string(link))
	return r.link, r.err
}

// none is a catalogue without step types.
type none struct{}

func (none) Names() []string                           { return nil }
func (none) Describe(string) (flowdefs.StepInfo, bool) { return flowdefs.StepInfo{}, false }

func handler(t *testing.T, r *run, base string) http.Handler {
	t.Helper()
	set, err := flowdefs.Load(fstest.MapFS{}, ".", none{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := webui.New(webui.Config{
		Engine: r, BaseURL: base, Logger: zap.NewNop(), Messages: func() *flowdefs.Messages { return set.Messages },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func password() flows.Page {
	return flows.Page{
		Client: "bank <app>", Redirect: "https://www.bank.example/back", StepID: "p", Turn: 3, Code: "PASSWORD_REQUIRED",
		Data: json.RawMessage(`{"identifierRequired":false}`),
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"required":["password"],"properties":{
			"username":{"type":"string"},"password":{"type":"string","format":"password","minLength":1}}}`),
	}
}

func send(t *testing.T, h http.Handler, method, path string, form url.Values, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// With TLS the cookie is bound to this host, and no script can read it.
func TestCookie(t *testing.T) {
	t.Parallel()
	for base, name := range map[string]string{"https://auth.example": "__Host-stile-handover", "http://127.0.0.1:8080": "stile-handover"} {
		r := send(t, handler(t, &run{page: password()}, base), "POST", "/handover/x", nil)
		if len(r.Cookies()) != 1 || r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/handover" {
			t.Fatalf("%d %v", r.StatusCode, r.Header)
		}
		c := r.Cookies()[0]
		if c.Name != name || c.Secure != strings.HasPrefix(base, "https") || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode ||
			c.Path != "/" || c.Domain != "" || c.Value != "secret-of-the-page" {
			t.Errorf("%s: %+v", base, c)
		}
	}
}

var tokenOf = regexp.MustCompile(`name="_token" value="([0-9a-f]{64})"`)

const cookie = "__Host-stile-handover=secret-of-the-page"

func TestForm(t *testing.T) {
	t.Parallel()
	engine := &run{page: password()}
	h := handler(t, engine, "https://auth.example")
	page := body(t, send(t, h, "GET", "/handover", nil, "Cookie", cookie, "Accept-Language", "fr, de;q=0.5"))
	for _, want := range []string{
		`<html lang="de">`, `<label for="password">Passwort</label>`, `type="password" id="password" name="password" autocomplete="current-password" required`,
		`form-action 'self' https://www.bank.example`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if strings.Contains(page, "username") {
		t.Error("the page asks for a name that is known")
	}
	token := tokenOf.FindStringSubmatch(page)
	if token == nil {
		t.Fatalf("%s", page)
	}
	form := url.Values{"_token": token[1:2], "_turn": {"3"}, "password": {"ä \"&"}}
	r := send(t, h, "POST", "/handover", form, "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "https://www.bank.example/back?handover=x&state=y" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	if len(engine.answered) != 1 || string(engine.answered[0]) != `{"password":"ä \"\u0026"}` {
		t.Errorf("answered %s", engine.answered)
	}
	if c := r.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("the cookie stays: %v", c)
	}
}

// Every kind of member that can be typed has a control, with a label.
func TestControls(t *testing.T) {
	t.Parallel()
	p := password()
	p.Data = json.RawMessage(`{"options":[{"id":"a","type":"OTP_REQUIRED"},{"id":"b","type":"UNHEARD_REQUIRED"}]}`)
	p.Schema = json.RawMessage(`{"type":"object","additionalProperties":false,"required":["select"],"properties":{
		"select":{"type":"string","enum":["a","b"]},"code":{"type":"string","pattern":"^[0-9]{6}$"},"sure":{"type":"boolean"}}}`)
	engine := &run{page: p}
	h := handler(t, engine, "https://auth.example")
	page := body(t, send(t, h, "GET", "/handover", nil, "Cookie", cookie))
	for _, want := range []string{
		`<label for="select-a">Enter the code that your authenticator app shows.</label>`, `<label for="select-b">prompt.unheard_required</label>`,
		`autocomplete="one-time-code" inputmode="numeric"`, `type="checkbox" id="sure"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	form := url.Values{"_token": tokenOf.FindStringSubmatch(page)[1:2], "_turn": {"3"}, "select": {"b"}, "code": {""}, "sure": {"on"}}
	r := send(t, h, "POST", "/handover", form, "Cookie", cookie)
	if r.StatusCode != http.StatusSeeOther || len(engine.answered) != 1 || string(engine.answered[0]) != `{"select":"b","sure":true}` {
		t.Errorf("%d %s", r.StatusCode, engine.answered)
	}
	form.Set("select", "c")
	if r := send(t, h, "POST", "/handover", form, "Cookie", cookie); r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body(t, r), `role="alert"`) {
		t.Errorf("an option that is not there: %d", r.StatusCode)
	}
}

// Who asks is shown, and is no markup; looking sets no cookie.
func TestWhoAsks(t *testing.T) {
	t.Parallel()
	r := send(t, handler(t, &run{page: password()}, "https://auth.example"), "GET", "/handover/abc", nil)
	text := body(t, r)
	if !strings.Contains(text, "bank &lt;app&gt; asks for this") || !strings.Contains(text, `action="/handover/abc"`) || len(r.Cookies()) > 0 {
		t.Errorf("%s", text)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	number := password()
	number.Schema = json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}}}`)
	for name, c := range map[string]struct {
		r      *run
		status int
	}{
		"gone":            {&run{err: &flows.Problem{Kind: flows.KindNotFound, Code: "secret-detail"}}, 404},
		"down":            {&run{err: &flows.Problem{Kind: flows.KindUnavailable, Code: "secret-detail"}}, 503},
		"a bug":           {&run{err: errors.New("secret-detail")}, 500},
		"cannot be typed": {&run{page: number}, 500},
		"no schema":       {&run{page: flows.Page{Schema: json.RawMessage(`{`)}}, 500},
		"no data":         {&run{page: flows.Page{Schema: json.RawMessage(`{"type":"object"}`), Data: json.RawMessage(`[]`)}}, 500},
	} {
		h := handler(t, c.r, "https://auth.example")
		r := send(t, h, "GET", "/handover", nil, "Cookie", cookie)
		if text := body(t, r); r.StatusCode != c.status || strings.Contains(text, "secret") || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []webui.Config{{}, {Engine: &run{}, Messages: func() *flowdefs.Messages { return nil }, BaseURL: "auth.example", Logger: zap.NewNop()}} {
		if _, err := webui.New(c); err == nil {
			t.Errorf("%+v is good enough", c)
		}
	}
}
