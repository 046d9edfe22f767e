//go:build unix

package contract_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// jarOf keeps what the server sets, and shows it.
type jarOf struct {
	http.RoundTripper
	set []*http.Cookie
}

func (j *jarOf) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := j.RoundTripper.RoundTrip(r)
	if err == nil {
		j.set = append(j.set, resp.Cookies()...)
	}
	return resp, err
}

func (j *jarOf) last(t *testing.T, name string) *http.Cookie {
	t.Helper()
	for i := len(j.set) - 1; i >= 0; i-- {
		if j.set[i].Name == name {
			return j.set[i]
		}
	}
	t.Fatalf("no cookie %s in %v", name, j.set)
	return nil
}

// A cookie that somebody planted, or has seen, is worth nothing once its owner has proved
// something (T-123): run and session have secrets that nobody had before. Each cookie is of
// this host alone, over TLS alone, and no script reads it.
func TestCookiesAreNobodyElses(t *testing.T) {
	t.Parallel()
	s := newSecure(t, shop(""))
	b := s.visitor(t)
	jar := &jarOf{RoundTripper: b.client.Transport}
	b.client.Transport = jar
	base := s.node.URL()
	address := base + "/oauth2/authorize?" + url.Values{
		"client_id": {"shop"}, "redirect_uri": {"https://shop.example/back"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"state-1"},
		"resource": {"https://payments.example"}, "code_challenge_method": {"S256"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())},
	}.Encode()
	b.open(address)
	planted := jar.last(t, "__Host-stile-run")
	b.submit(map[string]string{"username": login, "password": password})
	proved := jar.last(t, "__Host-stile-run")
	if planted.Value == proved.Value {
		t.Error("the secret of the run is that of before")
	}
	thief := s.visitor(t)
	u, err := url.Parse(base)
	must(t, err)
	thief.client.Jar.SetCookies(u, []*http.Cookie{{Name: planted.Name, Value: planted.Value, Path: "/", Secure: true}})
	thief.open(base + "/sign-in")
	if thief.status != http.StatusNotFound || strings.Contains(thief.page, `name="code"`) {
		t.Errorf("who planted the cookie sees %d\n%s", thief.status, thief.page)
	}
	code, err := s.code()
	must(t, err)
	b.submit(map[string]string{"code": code})
	if b.gone == nil {
		t.Fatalf("%d\n%s", b.status, b.page)
	}
	jar.last(t, "__Host-stile-session")
	for _, c := range jar.set {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Domain != "" || c.Path != "/" ||
			c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode {
			t.Errorf("%+v", c)
		}
	}
}

// What was used stays used when the server has begun anew (lesson 44).
func TestUsedGrantsAreUsedAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop(""), store: "sqlite", fixed: true})
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.signIn()
	code := b.code()
	first, err := p.trade(code)
	must(t, err)
	refresh := func(token string) (*oauth2.Token, error) {
		return p.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token}).Token()
	}
	second, err := refresh(first.RefreshToken)
	must(t, err)
	w.close(t)
	w.start(t)
	t.Cleanup(func() { w.close(t) })
	third, err := refresh(second.RefreshToken) // the one that is good goes on
	must(t, err)
	w.clock.pass(time.Minute)
	if _, err := refresh(first.RefreshToken); !isError(err, "invalid_grant") {
		t.Errorf("a used refresh token: %v", err)
	}
	if _, err := refresh(third.RefreshToken); !isError(err, "invalid_grant") {
		t.Errorf("what came of it: %v", err)
	}
	if _, err := p.trade(code); !isError(err, "invalid_grant") {
		t.Errorf("a used code: %v", err)
	}
}

// A form of the relying party comes from another site, so without the session's cookie; who
// is signed in is signed in all the same (OpenID Connect Core 1.0 §3.1.2.1).
func TestFormOfAnotherSiteFindsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.signIn()
	_, err := p.trade(b.code())
	must(t, err)
	u, err := url.Parse(p.address("resource", "https://orders.example", "prompt", "none"))
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.node.URL()+"/oauth2/authorize", strings.NewReader(u.RawQuery))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultTransport.RoundTrip(r) // no cookie, and nothing is followed
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d", resp.StatusCode)
	}
	b.open(w.node.URL() + resp.Header.Get("Location"))
	if _, err := p.trade(b.code()); err != nil {
		t.Error(err)
	}
}
