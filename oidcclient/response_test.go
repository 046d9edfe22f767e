package oidcclient_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// edited changes parameters of a query; "" removes one.
func edited(t testing.TB, query string, changes ...string) string {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return q.Encode()
}

// A response that is not to this request costs no token request, and the
// request stays good for the one that is.
func TestResponse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		class error
		query func(t *testing.T, right string) string
	}{
		{"T-13 state of another request", oidcclient.ErrResponse, func(t *testing.T, q string) string { return edited(t, q, "state", strings.Repeat("A", 43)) }},
		{"state in part", oidcclient.ErrResponse, func(t *testing.T, q string) string { return edited(t, q, "state", state(t, q)[:42]) }},
		{"state and more", oidcclient.ErrResponse, func(t *testing.T, q string) string { return edited(t, q, "state", state(t, q)+"A") }},
		{"T-17 iss of another", oidcclient.ErrResponse, func(t *testing.T, q string) string { return edited(t, q, "iss", "https://evil.example") }},
		{"T-17 iss with a slash", oidcclient.ErrResponse, func(t *testing.T, q string) string { return q + "%2F" }},
		{"T-18 no iss", oidcclient.ErrResponse, func(t *testing.T, q string) string { return edited(t, q, "iss", "") }},
		{"T-18 empty iss", oidcclient.ErrResponse, func(t *testing.T, q string) string { return edited(t, q, "iss", "") + "&iss=" }},
		{"T-19 error with iss of another", oidcclient.ErrResponse, func(t *testing.T, q string) string {
			return edited(t, q, "code", "", "error", "access_denied", "iss", "https://evil.example")
		}},
		{"T-19 error without iss", oidcclient.ErrResponse, func(t *testing.T, q string) string {
			return edited(t, q, "code", "", "error", "access_denied", "iss", "")
		}},
		{"T-19 error with state of another", oidcclient.ErrResponse, func(t *testing.T, q string) string {
			return edited(t, q, "code", "", "error", "access_denied", "state", "another")
		}},
		{"T-62 code twice", oidcclient.ErrResponse, func(_ *testing.T, q string) string { return q + "&code=x" }},
		{"T-62 state twice", oidcclient.ErrResponse, func(t *testing.T, q string) string { return q + "&state=" + state(t, q) }},
		{"T-62 iss twice", oidcclient.ErrResponse, func(_ *testing.T, q string) string { return q + "&iss=x" }},
		{"T-62 unknown twice", oidcclient.ErrResponse, func(_ *testing.T, q string) string { return q + "&x=1&x=1" }},
		{"code and error", oidcclient.ErrResponse, func(_ *testing.T, q string) string { return q + "&error=access_denied" }},
		{"error that is no code", oidcclient.ErrResponse, func(t *testing.T, q string) string {
			return edited(t, q, "code", "", "error", "access\ndenied")
		}},
		{"nothing", oidcclient.ErrIncomplete, func(*testing.T, string) string { return "" }},
		{"question mark", oidcclient.ErrIncomplete, func(*testing.T, string) string { return "?" }},
		{"state only", oidcclient.ErrIncomplete, func(t *testing.T, q string) string { return edited(t, q, "code", "") }},
		{"code only", oidcclient.ErrIncomplete, func(t *testing.T, q string) string { return edited(t, q, "state", "") }},
		{"empty code", oidcclient.ErrIncomplete, func(t *testing.T, q string) string { return edited(t, q, "code", "") + "&code=" }},
		{"no query", oidcclient.ErrIncomplete, func(_ *testing.T, q string) string { return q + "&x=%zz" }},
		{"semicolon", oidcclient.ErrIncomplete, func(_ *testing.T, q string) string { return strings.ReplaceAll(q, "&", ";") }},
		{"too long", oidcclient.ErrIncomplete, func(_ *testing.T, q string) string { return q + "&x=" + strings.Repeat("x", 16<<10) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.request(t, oidcclient.RequestOptions{})
			right := w.visit(t, a)
			query := test.query(t, right)
			_, err := w.finish(t.Context(), a.Request, query)
			w.wants(t, err, test.class, 0)
			if err != nil {
				quiet(t, err, a.Request, query)
			}
			if _, err := w.finish(t.Context(), a.Request, "?"+right); err != nil {
				t.Errorf("the right response afterwards: %v", err)
			}
		})
	}
}

func state(t testing.TB, query string) string {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return q.Get("state")
}

// Error responses are believed only if they are to this request.
func TestErrorResponse(t *testing.T) { // T-19
	t.Parallel()
	for _, code := range []string{"access_denied", "login_required", "server_error", "unheard_of"} {
		w := newWorld(t)
		w.Misbehave(oidctest.RefuseWith(code))
		a := w.request(t, oidcclient.RequestOptions{})
		_, err := w.finish(t.Context(), a.Request, w.visit(t, a))
		var refused *oidcclient.AuthorizationError
		if !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%s: got %v", code, err)
		}
		if n := w.Calls(oidctest.EndpointToken); n != 0 {
			t.Errorf("%s: %d token requests", code, n)
		}
	}
}

// A provider that does not announce iss may leave it out; if it is there it is compared.
func TestIssuerNotAnnounced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.DropMembers(oidctest.EndpointDiscovery, "authorization_response_iss_parameter_supported"))
	a := w.request(t, oidcclient.RequestOptions{})
	right := w.visit(t, a)
	_, err := w.finish(t.Context(), a.Request, edited(t, right, "iss", "https://evil.example"))
	w.wants(t, err, oidcclient.ErrResponse, 0)
	if _, err := w.finish(t.Context(), a.Request, edited(t, right, "iss", "")); err != nil {
		t.Error(err)
	}
}

// T-17, the other way round: a request that went to one provider is not
// finished at another.
func TestRequestOfAnotherProvider(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	a := other.request(t, oidcclient.RequestOptions{})
	right := edited(t, other.visit(t, a), "iss", w.Issuer())
	_, err := w.client.Receive(t.Context(), a.Request, right)
	w.wants(t, err, oidcclient.ErrResponse, 0)
	code, err := other.client.Receive(t.Context(), a.Request, edited(t, right, "iss", other.Issuer()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.client.Redeem(t.Context(), a.Request, code)
	w.wants(t, err, oidcclient.ErrResponse, 0)
}

// A request that was never made accepts no response.
func TestNoRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, query := range []string{"code=x&state=&iss=" + w.Issuer(), "code=x&state=x&iss=" + w.Issuer()} {
		if _, err := w.client.Receive(t.Context(), oidcclient.Request{Issuer: w.Issuer()}, query); err == nil {
			t.Errorf("%s was accepted", query)
		}
	}
	if _, err := w.client.Redeem(t.Context(), oidcclient.Request{Issuer: w.Issuer()}, oidcclient.Code{}); !errors.Is(err, oidcclient.ErrResponse) {
		t.Errorf("no code: %v", err)
	}
}

func TestCodeIsNotPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.request(t, oidcclient.RequestOptions{})
	query := w.visit(t, a)
	code, err := w.client.Receive(t.Context(), a.Request, query)
	if err != nil {
		t.Fatal(err)
	}
	q, _ := url.ParseQuery(query)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, code); strings.Contains(text, q.Get("code")) {
			t.Errorf("%s prints the code", format)
		}
	}
}

// PKCE (lessons 52): the verifier is sent, and is that of this request.
func TestVerifier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.request(t, oidcclient.RequestOptions{})
	query := w.visit(t, a)
	none := a.Request
	none.Verifier = ""
	_, err := w.finish(t.Context(), none, query)
	w.wants(t, err, oidcclient.ErrResponse, 0)
	other := a.Request
	other.Verifier = strings.Repeat("A", 43)
	_, err = w.finish(t.Context(), other, query)
	w.wants(t, err, oidcclient.ErrRefused, 1)
}

// T-23, CVE-2020-14302: a code is good once.
func TestCodeTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.request(t, oidcclient.RequestOptions{})
	query := w.visit(t, a)
	if _, err := w.finish(t.Context(), a.Request, query); err != nil {
		t.Fatal(err)
	}
	_, err := w.finish(t.Context(), a.Request, query)
	w.wants(t, err, oidcclient.ErrRefused, 2)
}
