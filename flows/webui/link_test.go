package webui_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

func sentLink() *run {
	return &run{link: flows.LinkPage{Client: "bank <app>", Started: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
}

// opened is the page of a link, its cookie and its token.
func opened(t *testing.T, h http.Handler, headers ...string) (text, cookie, token string) {
	t.Helper()
	r := send(t, h, "GET", "/link/abc", nil, headers...)
	text = body(t, r)
	m := tokenOf.FindStringSubmatch(text)
	if r.StatusCode != http.StatusOK || len(r.Cookies()) != 1 || m == nil {
		t.Fatalf("%d %v\n%s", r.StatusCode, r.Cookies(), text)
	}
	c := r.Cookies()[0]
	return text, c.Name + "=" + c.Value, m[1]
}

// The page says who asks and since when, has two buttons, and needs no script.
// Nobody is told its address.
func TestLinkPage(t *testing.T) {
	t.Parallel()
	engine := sentLink()
	h := handler(t, engine, "https://auth.example")
	text, cookie, _ := opened(t, h)
	for _, want := range []string{
		"bank &lt;app&gt; asked at 2026-03-01 12:00 UTC", `action="/link/abc"`, `name="_answer" value="confirm"`, `name="_answer" value="deny"`,
		"Referrer-Policy: no-referrer", "Cache-Control: no-store", "default-src 'none'", "frame-ancestors 'none'", "form-action 'self'",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "<script") || !strings.HasPrefix(cookie, "__Host-stile-link=") || !slices.Equal(engine.did, []string{"look abc"}) {
		t.Errorf("%s, %v\n%s", cookie, engine.did, text)
	}
}

var shownCode = regexp.MustCompile(`<strong>([0-9]{8})</strong>`)

func TestLinkForm(t *testing.T) {
	t.Parallel()
	for answer, did := range map[string]string{"confirm": "confirm abc", "deny": "deny abc"} {
		engine := sentLink()
		h := handler(t, engine, "https://auth.example")
		_, cookie, token := opened(t, h)
		r := send(t, h, "POST", "/link/abc", url.Values{"_token": {token}, "_answer": {answer}}, "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
		text := body(t, r)
		if r.StatusCode != http.StatusOK || engine.did[1] != did || shownCode.MatchString(text) != (answer == "confirm") {
			t.Errorf("%s: %v\n%s", answer, engine.did, text)
		}
		if c := r.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 || strings.Contains(text, "<form") {
			t.Errorf("%s: the page goes on: %v\n%s", answer, c, text)
		}
	}
}

// A form that another page or another browser made does nothing, whoever knows the link.
func TestLinkFormOfAnother(t *testing.T) {
	t.Parallel()
	engine := sentLink()
	h := handler(t, engine, "https://auth.example")
	_, cookie, token := opened(t, h)
	_, stranger, strange := opened(t, h)
	again, same, _ := opened(t, h, "Cookie", "__Host-stile-link=x")
	if same == "__Host-stile-link=x" || again == "" {
		t.Error("a cookie of somebody else's making is kept")
	}
	engine.did = nil
	gone := body(t, send(t, h, "POST", "/link/abc", nil))
	for name, c := range map[string]struct {
		form    url.Values
		headers []string
	}{
		"without a cookie":         {url.Values{"_token": {token}, "_answer": {"confirm"}}, nil},
		"of another browser":       {url.Values{"_token": {strange}, "_answer": {"confirm"}}, []string{"Cookie", cookie}},
		"another browser's cookie": {url.Values{"_token": {token}, "_answer": {"confirm"}}, []string{"Cookie", stranger}},
		"without a token":          {url.Values{"_answer": {"confirm"}}, []string{"Cookie", cookie}},
		"without an answer":        {url.Values{"_token": {token}}, []string{"Cookie", cookie}},
		"another answer":           {url.Values{"_token": {token}, "_answer": {"CONFIRM"}}, []string{"Cookie", cookie}},
		"from another site":        {url.Values{"_token": {token}, "_answer": {"confirm"}}, []string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}},
		"from another origin":      {url.Values{"_token": {token}, "_answer": {"confirm"}}, []string{"Cookie", cookie, "Origin", "https://evil.example"}},
		"no form":                  {url.Values{"_token": {token}, "_answer": {"confirm"}}, []string{"Cookie", cookie, "Content-Type", "text/plain"}},
	} {
		r := send(t, h, "POST", "/link/abc", c.form, c.headers...)
		if r.StatusCode != http.StatusNotFound || plain(body(t, r)) != plain(gone) {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
	// The token is of one link.
	r := send(t, h, "POST", "/link/xyz", url.Values{"_token": {token}, "_answer": {"confirm"}}, "Cookie", cookie)
	if r.StatusCode != http.StatusNotFound || len(engine.did) != 0 {
		t.Errorf("%d, %v", r.StatusCode, engine.did)
	}
}

var requestIDs = regexp.MustCompile(`X-Request-Id: .*`)

// plain is a page without what is random.
func plain(page string) string { return requestIDs.ReplaceAllString(page, "") }

// Whatever is wrong with a link, its page says the same, and shows no cause.
func TestLinkGone(t *testing.T) {
	t.Parallel()
	h := handler(t, &run{err: &flows.Problem{Kind: flows.KindNotFound, Code: "secret-detail"}}, "https://auth.example")
	for _, method := range []string{"GET", "POST"} {
		r := send(t, h, method, "/link/abc", nil)
		if text := body(t, r); r.StatusCode != http.StatusNotFound || strings.Contains(text, "secret") || len(r.Cookies()) > 0 {
			t.Errorf("%s: %s", method, text)
		}
	}
}
