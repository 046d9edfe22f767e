package oidcclient_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/oidcclient"
)

const addresses = "https://api.plain.example/user/emails"

// answers is a road on which one address is answered by a test.
type answers struct {
	http.RoundTripper
	status int
	body   string
	asked  []string // authorizations that it got
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() != addresses {
		return a.RoundTripper.RoundTrip(r)
	}
	a.asked = append(a.asked, r.Header.Get("Authorization"))
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// more signs on at a provider with a further question, which is answered like that.
func more(t *testing.T, status int, body string) (oidcclient.Identity, *answers, error) {
	t.Helper()
	a := &answers{status: status, body: body}
	w := newPlainWorld(t)
	a.RoundTripper = w.road
	w.client = w.newClient(t, func(c *oidcclient.Config) {
		c.Issuer, c.Transport, c.Network, c.Scopes = "https://plain.example", a, oidcclient.Public, []string{"read:user"}
		c.Endpoints = &oidcclient.Endpoints{
			Authorization: "https://plain.example/login/oauth/authorize", Token: "https://plain.example/login/oauth/access_token",
			UserInfo: "https://api.plain.example/user",
		}
		c.OAuth2 = &oidcclient.UserMapping{Subject: "id", More: map[string]string{"login": addresses}} // a name that UserInfo has too
	})
	r := w.request(t, oidcclient.RequestOptions{})
	id, err := w.finish(t.Context(), r.Request, w.visit(t, r))
	return id, a, err
}

// A further question is asked once, with the access token, and its answer is a claim
// in the place of what UserInfo says under that name.
func TestMore(t *testing.T) {
	t.Parallel()
	id, a, err := more(t, http.StatusOK, `[{"email":"jane@bank.example","primary":true}]`)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{map[string]any{"email": "jane@bank.example", "primary": true}}
	if diff := cmp.Diff(any(want), id.Claims["login"]); diff != "" {
		t.Error(diff)
	}
	if len(a.asked) != 1 || !strings.HasPrefix(a.asked[0], "Bearer ") {
		t.Errorf("asked %d times", len(a.asked))
	}
}

// What the provider refuses to tell it does not say, and nobody else says it for it.
func TestMoreThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		id, _, err := more(t, status, `{"message":"no"}`)
		if _, said := id.Claims["login"]; err != nil || said {
			t.Errorf("%d: %v, %v", status, err, id.Claims)
		}
	}
}

// Answers that parsers read differently, that hold more than an answer, or that never
// end are none, and the sign-on comes to nothing.
func TestMoreThatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"twice":       `[{"email":"jane@bank.example","email":"eve@evil.example"}]`,
		"other case":  `[{"email":"jane@bank.example","Email":"eve@evil.example"}]`,
		"two answers": `[],"sub":"eve"`,
		"two texts":   `[]}{"answer":[]`,
		"the end":     `[`,
		"nothing":     ``,
		"a page":      `<html>`,
		"deep":        strings.Repeat("[", 64) + strings.Repeat("]", 64),
		"huge":        `["` + strings.Repeat("x", 4<<20) + `"]`,
	} {
		if id, _, err := more(t, http.StatusOK, body); !errors.Is(err, oidcclient.ErrRefused) && !errors.Is(err, oidcclient.ErrUnavailable) {
			t.Errorf("%s: %v, %v", name, err, id.Claims)
		}
	}
	if _, _, err := more(t, http.StatusBadGateway, `[]`); !errors.Is(err, oidcclient.ErrUnavailable) {
		t.Errorf("an error: %v", err)
	}
}
