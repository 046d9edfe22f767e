package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// site serves pages by path; a page that starts with "-> " is a redirect. It
// notes the forms that it got. Cookies must come back.
type site struct {
	*httptest.Server
	pages map[string]string
	forms []string
}

func newSite(t *testing.T, pages map[string]string) *site {
	t.Helper()
	s := &site{pages: pages}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("browser"); err != nil && r.URL.Path != "/start" {
		http.Error(w, "no cookie", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "browser", Value: "1", Path: "/", HttpOnly: true})
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodPost {
		if r.Header.Get("Origin") != s.URL {
			http.Error(w, "cross-site", http.StatusForbidden)
			return
		}
		s.forms = append(s.forms, r.URL.Path+"?"+r.PostForm.Encode())
	} else if r.URL.RawQuery != "" {
		s.forms = append(s.forms, "GET "+r.URL.String())
	}
	body, ok := s.pages[r.Method+" "+r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if to, ok := strings.CutPrefix(body, "-> "); ok {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(body))
}

func newBrowser(t *testing.T) *app.Browser {
	t.Helper()
	b, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "jane", Password: "pass&word"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const back = "-> " + redirectURI + "?code=c%2F1&state=s&iss=https%3A%2F%2Fidp"

// providers are pages in the manner of several products.
func providers() map[string]struct {
	pages map[string]string
	forms []string
} {
	return map[string]struct {
		pages map[string]string
		forms []string
	}{
		"login and consent with an abort link": { // Node oidc-provider's development pages
			map[string]string{
				"GET /start": "-> /interaction/a",
				"GET /interaction/a": `<!DOCTYPE html><title>Sign-in</title><div class="login-card"><h1>Sign-in</h1>
					<form autocomplete="off" action="/interaction/a" method="post"><input type="hidden" name="prompt" value="login"/>
					<input required type="text" name="login" placeholder="Enter any login" autofocus="on"><input required type="password" name="password" placeholder="and password">
					<button type="submit" class="login login-submit">Sign-in</button></form>
					<div class="login-help"><a href="/interaction/a/abort">[ Cancel ]</a></div></div>`,
				"POST /interaction/a": "-> /interaction/b",
				"GET /interaction/b": `<title>Authorize</title><ul><li>scopes:</li></ul><form autocomplete="off" action="" method="post">
					<input type="hidden" name="prompt" value="consent"/><button autofocus type="submit" class="login login-submit">Continue</button></form>
					<a href="/interaction/b/abort">[ Cancel ]</a>`,
				"POST /interaction/b": back,
			},
			[]string{"/interaction/a?login=jane&password=pass%26word&prompt=login", "/interaction/b?prompt=consent"},
		},
		"allow and deny in one form, deny first": {
			map[string]string{
				"GET /start": `<form method="POST" action="login?x=1"><label for=u>User</label><input id=u name=username autocomplete="username" value="somebody">
					<input name=pw type=password autocomplete=current-password><input type=checkbox name=remember>
					<button type=button>Show password</button><button type=reset>Clear</button><input type=submit name=cancel value=Cancel><button name=go value=1>Sign in</button>
					<button name=provider value=x>Sign in with X</button></form>`,
				"POST /login": `<form method=post action=/consent><input type=hidden name=csrf value="a&amp;b"><button name=decision value=deny>Deny</button>
					<button type=submit name=decision value=allow>Allow</button></form>`,
				"POST /consent": back,
			},
			[]string{"/login?go=1&pw=pass%26word&username=jane", "/consent?csrf=a%26b&decision=allow"},
		},
		"several forms": {
			map[string]string{
				"GET /start": `<form action=/search><input name=q><button>Go</button></form>
					<form method=post action=/register><input name=email type=email><input name=p1 type=password autocomplete=new-password><button>Sign up</button></form>
					<form method=post action=/reset><input name=email type=email><button>Reset password</button></form>
					<form method=post action=/in><input name=email type=email><input name=pass type=password><input type=image name=i alt=ok></form>`,
				"POST /in": `<form method=post action=/logout><button>Continue</button></form><form method=post action=/no><button>Disallow</button></form>
					<form method=post action=/language><select name=l><option value=de>Deutsch<option selected>English</select><button>Choose</button></form>
					<form method=post action=/yes id=yes><fieldset disabled><input name=off value=1></fieldset>
						<input type=checkbox name=grant_scope value=openid><input type=checkbox name=grant_scope value=email><input type=checkbox name=remember>
						<input type=radio name=for value=once checked><input type=radio name=for value=ever></form>
					<button form=yes name=submit value="Allow access">Allow access</button>`,
				"POST /yes": back,
			},
			[]string{"/in?email=jane&i=&pass=pass%26word", "/yes?for=once&grant_scope=openid&grant_scope=email&submit=Allow+access"},
		},
		"user name first, formaction, base": {
			map[string]string{
				"GET /start": `<base href="/a/b/"><form method=post action=next><input name=identifier><button>Next</button></form>`,
				"POST /a/b/next": `<form action=/cancel method=post><input type=hidden name=user value=jane><input type=password name=password>
					<button formaction=/cancel>Continue later</button><button formaction=/ok formmethod=post>Log in</button></form>`,
				"POST /ok": back,
			},
			[]string{"/a/b/next?identifier=jane", "/ok?password=pass%26word&user=jane"},
		},
		"consent by GET": {
			map[string]string{
				"GET /start":  `<form action=/agree><input type=hidden name=id value=7><input type=submit value="Yes, I agree"></form>`,
				"GET /agree":  back,
				"GET /refuse": "-> " + redirectURI + "?error=access_denied",
			},
			[]string{"GET /agree?id=7"},
		},
	}
}

func TestBrowserFindsItsWay(t *testing.T) {
	t.Parallel()
	for name, p := range providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, p.pages)
			got, err := newBrowser(t).Open(t.Context(), s.URL+"/start", redirectURI)
			if err != nil {
				t.Fatalf("%v after %q", err, s.forms)
			}
			if want := strings.TrimPrefix(back, "-> "); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if diff := cmp.Diff(p.forms, s.forms); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBrowserGivesUp(t *testing.T) {
	t.Parallel()
	login := `<title>Log in</title><form method=post action=/login><input name=u><input type=password name=p><button>Log in</button></form>`
	tests := map[string]struct {
		pages map[string]string
		want  error
		posts int
	}{
		"wrong password":       {map[string]string{"GET /start": login, "POST /login": login}, app.ErrLoginRefused, 1},
		"only refusals":        {map[string]string{"GET /start": `<form method=post action=/x><button>Cancel</button><button name=a value=abort>OK</button></form>`}, app.ErrNoWayOn, 0},
		"only a link":          {map[string]string{"GET /start": `<a href="/ok">Continue</a>`}, app.ErrNoWayOn, 0},
		"a logout":             {map[string]string{"GET /start": `<form method=post action=/logout><button>Sign out</button></form>`}, app.ErrNoWayOn, 0},
		"a change of password": {map[string]string{"GET /start": `<form method=post action=/x><input type=password name=a><input type=password name=b><button>OK</button></form>`}, app.ErrNoWayOn, 0},
		"a registration":       {map[string]string{"GET /start": `<form method=post action=/x><input type=email name=e><input type=password name=p autocomplete="new-password"><button>Continue</button></form>`}, app.ErrNoWayOn, 0},
		"endless":              {map[string]string{"GET /start": "-> /start"}, app.ErrTooManyHops, 0},
		"an error":             {map[string]string{"GET /start": "-> /gone"}, app.ErrProviderError, 0},
		"another app":          {map[string]string{"GET /start": "-> com.evil.app:/oauth2?code=x"}, nil, 0},
		"another path":         {map[string]string{"GET /start": "-> com.bank.app:/oauth3?code=x"}, nil, 0},
		"plain http":           {map[string]string{"GET /start": "-> http://idp.bank.example/login"}, nil, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tc.pages)
			got, err := newBrowser(t).Open(t.Context(), s.URL+"/start", redirectURI)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || len(s.forms) != tc.posts {
				t.Errorf("got %q, %v after %q", got, err, s.forms)
			}
		})
	}
}

// TestBrowserStopsAtClaimedHTTPS before it asks anybody for that address.
func TestBrowserStopsAtClaimedHTTPS(t *testing.T) {
	t.Parallel()
	const claimed = "https://app.bank.example/oauth2?tenant=1"
	s := newSite(t, map[string]string{"GET /start": "-> " + claimed + "&code=x&state=y"})
	got, err := newBrowser(t).Open(t.Context(), s.URL+"/start", claimed)
	if err != nil || got != claimed+"&code=x&state=y" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBrowserRepeatsThePostOn307(t *testing.T) {
	t.Parallel()
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = append(got, fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, r.PostForm.Encode()))
		switch r.URL.Path {
		case "/start":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<form method=post action=/a><input type=hidden name=x value=1><button>Accept</button></form>`))
		case "/a":
			http.Redirect(w, r, "/b", http.StatusTemporaryRedirect)
		case "/b":
			http.Redirect(w, r, "/c", http.StatusFound)
		default:
			w.Header().Set("Location", redirectURI+"?code=1")
			w.WriteHeader(http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	if _, err := newBrowser(t).Open(t.Context(), server.URL+"/start", redirectURI); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GET /start ", "POST /a x=1", "POST /b x=1", "GET /c "}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRunThroughTheBrowser hands the query of the redirect over unread.
func TestRunThroughTheBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t, providers()["allow and deny in one form, deny first"].pages)
	f := newFake(t, prompt{typ: "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED", id: "queryString", data: map[string]any{
		"authorizationRequestUri": s.URL + "/start", "redirectUri": redirectURI,
	}})
	var who []string
	trace := func(x app.Exchange) {
		u, _ := url.Parse(x.URL)
		who = append(who, fmt.Sprintf("%s %s %s %d %t", x.Who, x.Method, u.Path, x.Status, len(x.RequestBody) > 0))
		if x.Who == "browser" && x.Method == "POST" && x.RequestHeader.Get("Cookie") == "" {
			t.Error("the trace shows no cookies")
		}
	}
	a := newApp(t, f, func(c *app.Config) {
		b, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "jane", Password: "pass&word"}, Transport: &app.Wire{Who: "browser", Trace: trace}})
		if err != nil {
			t.Fatal(err)
		}
		c.Browser, c.HTTPClient = b, &http.Client{Transport: &app.Wire{Who: "app", Trace: trace}}
	})
	if _, err := a.Run(t.Context(), app.StartOptions{Target: "accounts"}); err != nil {
		t.Fatal(err)
	}
	if want := `{"queryString":"code=c%2F1&state=s&iss=https%3A%2F%2Fidp"}`; f.bodies[1] != want {
		t.Errorf("body %s, want %s", f.bodies[1], want)
	}
	want := []string{
		"app POST /v1/flows 201 true", "browser GET /start 200 false", "browser POST /login 200 true", "browser POST /consent 303 true",
		"app POST /v1/flow/steps/queryString 200 true",
	}
	if diff := cmp.Diff(want, who); diff != "" {
		t.Error(diff)
	}
}
