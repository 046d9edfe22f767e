package webui_test

import (
	"net/http"
	"net/url"
	"testing"
)

// A provider that answers by a form has the browser post it from elsewhere: without
// cookies, which come along with where it is sent on to. Nothing else becomes of it.
func TestPostedResponse(t *testing.T) {
	t.Parallel()
	h := handler(t, &run{}, "https://login.bank.example")
	elsewhere := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://appleid.apple.com"}
	form := url.Values{"code": {"a b&state=c"}, "state": {"s", "s"}}
	for path, want := range map[string]string{
		"/v1/callback/apple?code=theirs":               "/v1/callback/apple?code=a+b%26state%3Dc&state=s&state=s",
		"/v1/callback/%2f%2fevil.example%3fx%5c%0d%0a": "/v1/callback/%2F%2Fevil.example%3Fx%5C%0D%0A?code=a+b%26state%3Dc&state=s&state=s",
	} {
		r := send(t, h, http.MethodPost, path, form, elsewhere...)
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || got != want || len(r.Cookies()) != 0 {
			t.Errorf("%s: %d, sent to %q, %v", path, r.StatusCode, got, r.Cookies())
		}
		if r.Header.Get("Referrer-Policy") != "no-referrer" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, r.Header)
		}
	}
	if r := send(t, h, http.MethodPost, "/v1/callback/apple", form, "Content-Type", "text/plain"); r.StatusCode != http.StatusNotFound {
		t.Errorf("no form: %d", r.StatusCode)
	}
	if r := send(t, h, http.MethodPost, "/sign-in", form, elsewhere...); r.StatusCode != http.StatusNotFound {
		t.Errorf("a form of another site for our own pages: %d", r.StatusCode)
	}
}
