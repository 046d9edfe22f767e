package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// profile is what a test of the profiles has: a relying party, and a browser that nobody has used.
type profile struct {
	*testing.T
	w *world
	p *party
	b *visitor
}

const orders = "https://orders.example"

func (f *profile) ask(options ...string) {
	f.Helper()
	f.b.open(f.p.address(append([]string{"resource", orders}, options...)...))
}

// signsOn is a whole sign-on with a password.
func (f *profile) signsOn(options ...string) (*oauth2.Token, idToken) {
	f.Helper()
	f.ask(options...)
	f.b.signIn()
	return f.trades()
}

func (f *profile) trades() (*oauth2.Token, idToken) {
	f.Helper()
	token, err := f.p.trade(f.b.code())
	must(f, err)
	return token, f.p.reads(f.T, token)
}

func (f *profile) get(method, address, scheme, token string) (*http.Response, map[string]any) {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, address, nil)
	must(f, err)
	if scheme != "" {
		r.Header.Set("Authorization", scheme+" "+token)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(r)
	must(f, err)
	text, err := io.ReadAll(resp.Body)
	must(f, errJoin(err, resp.Body.Close()))
	var out map[string]any
	_ = json.Unmarshal(text, &out) // nil if it is no JSON
	return resp, out
}

// The behaviours of the basic, the configuration and the form-post profile for OpenID
// providers. Each name begins with the clause that asks for it.
func TestProfiles(t *testing.T) {
	t.Parallel()
	for name, behaves := range map[string]func(*profile){
		"OIDC Core 2: an ID token names issuer, audience and person, and when":                 idTokenNames,
		"OIDC Core 2: the nonce comes back as it was sent, and none where none was":            nonceComesBack,
		"OIDC Core 3.1.2.1: the request may be a POST":                                         requestByPost,
		"OIDC Core 3.1.2.1: parameters that are not known are ignored":                         unknownIgnored,
		"OIDC Core 3.1.2.1: without the scope openid there is no ID token":                     withoutOpenID,
		"OIDC Core 3.1.2.1: prompt=login asks again, and auth_time is new":                     promptLoginAsks,
		"OIDC Core 3.1.2.1: prompt=none asks nothing of who is signed in":                      promptNoneSilent,
		"OIDC Core 3.1.2.6: prompt=none and nobody is there: login_required":                   promptNoneNobody,
		"OIDC Core 3.1.2.6: prompt=none and more is needed: interaction_required":              promptNoneMore,
		"OIDC Core 3.1.2.1: prompt=select_account does not take who is there":                  promptSelectAsks,
		"OIDC Core 3.1.2.1: max_age asks again when it has passed":                             maxAgePassed,
		"OIDC Core 3.1.2.1: max_age that has not passed asks nothing":                          maxAgeFresh,
		"OIDC Core 3.1.2.1: id_token_hint of who is there":                                     hintOfSame,
		"OIDC Core 3.1.2.1: id_token_hint of somebody else gives no tokens":                    hintOfOther,
		"OIDC Core 3.1.2.1: login_hint is the name that the page begins with":                  loginHint,
		"OIDC Core 3.1.2.1: ui_locales chooses the language of the pages":                      localesChoose,
		"OIDC Core 3.1.2.1: acr_values are a wish":                                             acrWish,
		"OIDC Core 5.5.1.1: an essential acr is met or the request fails":                      acrEssential,
		"OIDC Core 3.1.2.2: an error goes to the redirect URI with the state":                  errorWithState,
		"OIDC Core 3.1.3.3: an answer of the token endpoint is not cached":                     answerNotCached,
		"OIDC Core 3.1.3.6: at_hash is of the access token":                                    hashOfAccess,
		"OIDC Core 5.3.1: user info by GET and by POST":                                        infoByBoth,
		"OIDC Core 5.3.2: its subject is that of the ID token":                                 infoSubject,
		"OIDC Core 5.3.3: a bad token is 401 with a challenge":                                 infoBadToken,
		"OIDC Core 8: subjects are public and stay":                                            subjectStays,
		"OIDC Core 10.1.1: an ID token names a published key":                                  keyPublished,
		"OIDC Core 11: offline_access outlives the session, other refresh tokens do not":       offlineOutlives,
		"OIDC Core 12.2: a refreshed ID token is of the same sign-in":                          refreshedSame,
		"OIDC Discovery 3: the metadata has what is required":                                  metadataComplete,
		"OIDC Discovery 4.3: its issuer is where it was found":                                 metadataIssuer,
		"RFC 8414 3: both documents say the same":                                              metadataSame,
		"RFC 9207 2: success and failure name the issuer":                                      issuerNamed,
		"OAuth Form Post 2: the code comes in a form that the page posts":                      formPost,
		"OAuth Form Post 2: so does an error":                                                  formPostError,
		"OAuth Form Post 4: the page is not cached, not framed, and runs one script":           formPostPage,
		"RP-Initiated Logout 2: a sign-out with the ID token goes back to the relying party":   logoutBack,
		"RP-Initiated Logout 2: nobody is signed out without an ID token of theirs":            logoutNeedsHint,
		"RP-Initiated Logout 3: another address is not gone to":                                logoutForeign,
		"RFC 6749 4.1.2: a code that comes twice ends what came of it":                         codeTwice,
		"RFC 6749 5.2: a client that has not proved who it is gets 401 and is told the scheme": basicChallenge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: shop("")})
			t.Cleanup(func() { w.close(t) })
			behaves(&profile{t, w, newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid"), newVisitor(t, w)})
		})
	}
}

func idTokenNames(f *profile) {
	token, said := f.signsOn() // the library checks issuer, audience and times
	if said.Subject == "" || said.AuthTime == 0 || said.ACR != "aal1" || token.Extra("id_token") == nil {
		f.Errorf("%+v", said)
	}
}

func nonceComesBack(f *profile) {
	if _, said := f.signsOn("nonce", "a b+c/ü"); said.Nonce != "a b+c/ü" {
		f.Errorf("nonce %q", said.Nonce)
	}
	if f.ask("nonce", ""); f.b.gone == nil {
		f.Fatalf("%s", f.b.page)
	}
	if _, said := f.trades(); said.Nonce != "" {
		f.Errorf("nonce %q", said.Nonce)
	}
}

func requestByPost(f *profile) {
	u, err := url.Parse(f.p.address("resource", orders))
	must(f, err)
	r, err := http.NewRequestWithContext(f.Context(), http.MethodPost, f.w.node.URL()+"/oauth2/authorize", strings.NewReader(u.RawQuery))
	must(f, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	f.b.did(f.b.client.Do(r))
	f.b.signIn()
	f.trades()
}

func unknownIgnored(f *profile) {
	f.signsOn("extra", "foobar", "display", "page", "claims_locales", "de")
}

func withoutOpenID(f *profile) {
	f.p.Scopes = []string{"orders.read"}
	f.ask()
	f.b.signIn()
	token, err := f.p.trade(f.b.code())
	must(f, err)
	if token.Extra("id_token") != nil {
		f.Error("there is an ID token")
	}
	if resp, _ := f.get(http.MethodGet, f.w.node.URL()+"/oauth2/userinfo", "Bearer", token.AccessToken); resp.StatusCode != http.StatusForbidden {
		f.Errorf("user info: %d", resp.StatusCode)
	}
}

func promptLoginAsks(f *profile) {
	_, first := f.signsOn()
	f.w.clock.pass(time.Minute)
	if _, second := f.signsOn("prompt", "login"); second.AuthTime <= first.AuthTime || second.Subject != first.Subject {
		f.Errorf("%+v, then %+v", first, second)
	}
}

func promptNoneSilent(f *profile) {
	_, first := f.signsOn()
	f.w.clock.pass(time.Minute)
	f.ask("prompt", "none")
	if _, second := f.trades(); second.AuthTime != first.AuthTime || second.SID != first.SID {
		f.Errorf("%+v, then %+v", first, second)
	}
}

func promptNoneNobody(f *profile) {
	if f.ask("prompt", "none"); f.b.failure() != "login_required" {
		f.Error(f.b.gone)
	}
}

func promptNoneMore(f *profile) {
	f.signsOn()
	f.b.open(f.p.address("resource", "https://payments.example", "prompt", "none"))
	if f.b.failure() != "interaction_required" {
		f.Error(f.b.gone)
	}
}

func promptSelectAsks(f *profile) {
	f.signsOn()
	f.signsOn("prompt", "select_account")
}

func maxAgePassed(f *profile) {
	_, first := f.signsOn()
	f.w.clock.pass(2 * time.Minute)
	if _, second := f.signsOn("max_age", "60"); second.AuthTime <= first.AuthTime {
		f.Errorf("%+v, then %+v", first, second)
	}
}

func maxAgeFresh(f *profile) {
	_, first := f.signsOn()
	f.w.clock.pass(time.Minute)
	f.ask("max_age", "10000")
	if _, second := f.trades(); second.AuthTime != first.AuthTime {
		f.Errorf("%+v, then %+v", first, second)
	}
}

func idOf(token *oauth2.Token) string {
	text, _ := token.Extra("id_token").(string)
	return text
}

func hintOfSame(f *profile) {
	token, first := f.signsOn()
	f.ask("prompt", "none", "id_token_hint", idOf(token))
	if _, second := f.trades(); second.Subject != first.Subject {
		f.Errorf("%+v, then %+v", first, second)
	}
}

func hintOfOther(f *profile) {
	token, _ := f.signsOn()
	f.w.addOther(f.T)
	other := newVisitor(f.T, f.w)
	other.open(f.p.address("resource", orders, "id_token_hint", idOf(token)))
	other.submit(map[string]string{"username": "john", "password": password})
	if _, err := f.p.trade(other.code()); !isError(err, "invalid_grant") {
		f.Errorf("john passed for jane: %v", err)
	}
}

func loginHint(f *profile) {
	f.ask("login_hint", login)
	if !strings.Contains(f.b.page, `name="password"`) {
		f.Fatalf("%s", f.b.page)
	}
	if f.b.submit(map[string]string{"password": password}); f.b.gone == nil {
		f.b.submit(map[string]string{"username": login, "password": password})
	}
	f.trades()
}

func localesChoose(f *profile) {
	f.ask("ui_locales", "de en")
	german := f.b.page
	f.b = newVisitor(f.T, f.w)
	if f.ask("ui_locales", "en"); f.b.page == german || !strings.Contains(german, `lang="de"`) || !strings.Contains(f.b.page, `lang="en"`) {
		f.Errorf("%s\n%s", german, f.b.page)
	}
}

func acrWish(f *profile) {
	if _, said := f.signsOn("acr_values", "aal3 phr"); said.ACR != "aal1" {
		f.Errorf("%+v", said)
	}
}

func acrEssential(f *profile) {
	f.ask("claims", `{"id_token":{"acr":{"essential":true,"values":["aal3"]}}}`)
	if f.b.gone == nil {
		f.b.signIn()
	}
	if f.b.failure() != "unmet_authentication_requirements" {
		f.Error(f.b.gone)
	}
}

func errorWithState(f *profile) {
	if f.ask("response_type", "token"); f.b.failure() != "unsupported_response_type" || f.b.gone.Query().Get("state") != "state-1" {
		f.Error(f.b.gone)
	}
}

func answerNotCached(f *profile) {
	_, out := f.w.direct(f.T, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "resource": {orders}}, true) // which looks
	if out["access_token"] == nil || out["token_type"] != "Bearer" || out["expires_in"] == nil {
		f.Errorf("%v", out)
	}
}

func hashOfAccess(f *profile) {
	token, _ := f.signsOn()
	verified, err := f.p.provider.Verifier(f.p.checks()).Verify(f.Context(), idOf(token))
	must(f, err)
	must(f, verified.VerifyAccessToken(token.AccessToken))
	if verified.VerifyAccessToken(token.AccessToken+"x") == nil {
		f.Error("it is of any access token")
	}
}

func infoByBoth(f *profile) {
	token, said := f.signsOn()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if resp, out := f.get(method, f.w.node.URL()+"/oauth2/userinfo", "Bearer", token.AccessToken); resp.StatusCode != http.StatusOK || out["sub"] != said.Subject {
			f.Errorf("%s: %d %v", method, resp.StatusCode, out)
		}
	}
}

func infoSubject(f *profile) {
	token, said := f.signsOn()
	_, out := f.get(http.MethodGet, f.w.node.URL()+"/oauth2/userinfo", "Bearer", token.AccessToken)
	if out["sub"] != said.Subject || out["branch"] != "Zurich" || out["acr"] != nil || out["iss"] != nil {
		f.Errorf("%v", out)
	}
}

func infoBadToken(f *profile) {
	for scheme, token := range map[string]string{"": "", "Bearer": "rubbish", "DPoP": "rubbish"} {
		resp, out := f.get(http.MethodGet, f.w.node.URL()+"/oauth2/userinfo", scheme, token)
		told := resp.Header.Values("WWW-Authenticate")
		if resp.StatusCode != http.StatusUnauthorized || len(told) == 0 || !strings.HasPrefix(told[0], max(scheme, "Bearer")) || out["sub"] != nil {
			f.Errorf("%q: %d %v %v", scheme, resp.StatusCode, told, out)
		}
		if with := strings.Contains(strings.Join(told, " "), "error="); with != (scheme != "") {
			f.Errorf("%q: %v", scheme, told) // RFC 6750 §3.1: no error where nothing was presented
		}
	}
}

func subjectStays(f *profile) {
	_, first := f.signsOn()
	f.p = newParty(f.T, f.w, "other", "", "https://other.example/back", "openid")
	f.w.clock.pass(time.Minute)
	f.ask("prompt", "login")
	f.b.signIn()
	if _, second := f.trades(); second.Subject != first.Subject {
		f.Errorf("%+v, then %+v", first, second)
	}
}

func keyPublished(f *profile) {
	_, keys := f.get(http.MethodGet, f.w.node.URL()+"/.well-known/jwks.json", "", "")
	list, _ := keys["keys"].([]any)
	if len(list) == 0 {
		f.Fatal("no keys")
	}
	for _, k := range list {
		if key, _ := k.(map[string]any); key["kid"] == nil || key["use"] != "sig" || key["alg"] == nil || key["d"] != nil {
			f.Errorf("%v", k)
		}
	}
	f.signsOn() // the library finds the key by its name
}

func offlineOutlives(f *profile) {
	f.p.Scopes = []string{"openid", "offline_access"}
	lasting, said := f.signsOn()
	f.p.Scopes = []string{"openid"}
	f.ask()
	ending, _ := f.trades()
	f.b.open(f.w.node.URL() + "/oauth2/logout?id_token_hint=" + idOf(ending))
	if _, err := f.p.refresh(ending.RefreshToken); !isError(err, "invalid_grant") {
		f.Errorf("after the sign-out: %v", err)
	}
	newer, err := f.p.refresh(lasting.RefreshToken)
	must(f, err)
	if again := f.p.reads(f.T, newer); again.Subject != said.Subject {
		f.Errorf("%+v", again)
	}
}

func (p *party) refresh(token string) (*oauth2.Token, error) {
	return p.TokenSource(p.ctx, &oauth2.Token{RefreshToken: token}).Token()
}

func refreshedSame(f *profile) {
	token, first := f.signsOn()
	f.w.clock.pass(time.Minute)
	newer, err := f.p.refresh(token.RefreshToken)
	must(f, err)
	second := f.p.reads(f.T, newer)
	if second.Subject != first.Subject || second.AuthTime != first.AuthTime || second.SID != first.SID || second.Nonce != "" || second.ACR != first.ACR {
		f.Errorf("%+v, then %+v", first, second)
	}
}

func metadataComplete(f *profile) {
	_, m := f.get(http.MethodGet, f.w.node.URL()+"/.well-known/openid-configuration", "", "")
	for _, name := range []string{
		"issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "scopes_supported", "response_types_supported",
		"subject_types_supported", "id_token_signing_alg_values_supported", "claims_supported", "dpop_signing_alg_values_supported",
	} {
		if m[name] == nil {
			f.Errorf("no %s", name)
		}
	}
	for name, v := range m {
		at, _ := v.(string)
		if (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") && !strings.HasPrefix(at, f.w.node.URL()+"/") {
			f.Errorf("%s is elsewhere: %v", name, v)
		}
		if strings.HasSuffix(name, "_endpoint") || name == "jwks_uri" {
			if resp, _ := f.get(http.MethodGet, at, "", ""); resp.StatusCode == http.StatusNotFound {
				f.Errorf("there is no %s", at)
			}
		}
	}
	if list, _ := m["id_token_signing_alg_values_supported"].([]any); slices.Contains(list, any("none")) {
		f.Error("unsigned ID tokens")
	}
}

func metadataIssuer(f *profile) {
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		if _, m := f.get(http.MethodGet, f.w.node.URL()+path, "", ""); m["issuer"] != f.w.node.URL() {
			f.Errorf("%s: %v", path, m["issuer"])
		}
	}
}

func metadataSame(f *profile) {
	_, one := f.get(http.MethodGet, f.w.node.URL()+"/.well-known/openid-configuration", "", "")
	_, two := f.get(http.MethodGet, f.w.node.URL()+"/.well-known/oauth-authorization-server", "", "")
	for name, v := range two {
		a, err1 := json.Marshal(v)
		b, err2 := json.Marshal(one[name])
		if must(f, errJoin(err1, err2)); string(a) != string(b) {
			f.Errorf("%s: %s and %s", name, a, b)
		}
	}
}

func issuerNamed(f *profile) {
	f.signsOn() // code and failure look
	f.ask("prompt", "none", "max_age", "x")
	f.b.failure()
}

func formPost(f *profile) {
	f.ask("response_mode", "form_post")
	f.b.signIn()
	fields := f.b.fields()
	if f.b.gone != nil || !strings.Contains(f.b.page, `action="https://shop.example/back"`) || fields["state"] != "state-1" || fields["iss"] != f.w.node.URL() {
		f.Fatalf("%v %v\n%s", f.b.gone, fields, f.b.page)
	}
	token, err := f.p.trade(fields["code"])
	must(f, err)
	f.p.reads(f.T, token)
}

func formPostError(f *profile) {
	f.ask("response_mode", "form_post", "prompt", "none")
	if fields := f.b.fields(); f.b.gone != nil || fields["error"] != "login_required" || fields["state"] != "state-1" || fields["code"] != "" {
		f.Errorf("%v %v\n%s", f.b.gone, fields, f.b.page)
	}
}

func formPostPage(f *profile) {
	resp, _ := f.get(http.MethodGet, f.p.address("resource", orders, "response_mode", "form_post", "prompt", "none"), "", "")
	policy := resp.Header.Get("Content-Security-Policy")
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Frame-Options") != "DENY" ||
		!strings.Contains(policy, "script-src 'sha256-") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
		f.Errorf("%v", resp.Header)
	}
}

func logoutBack(f *profile) {
	token, _ := f.signsOn()
	f.b.open(f.w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {idOf(token)}, "post_logout_redirect_uri": {"https://shop.example/bye"}, "state": {"s"}}.Encode())
	if f.b.gone == nil || f.b.gone.String() != "https://shop.example/bye?state=s" {
		f.Fatalf("%v %s", f.b.gone, f.b.page)
	}
	if f.ask("prompt", "none"); f.b.failure() != "login_required" {
		f.Error("still signed in")
	}
}

func logoutNeedsHint(f *profile) {
	token, _ := f.signsOn()
	other, _ := (&profile{f.T, f.w, f.p, newVisitor(f.T, f.w)}).signsOn()
	for name, hint := range map[string]string{"none": "", "rubbish": "x.y.z", "an access token": token.AccessToken, "another session's": idOf(other)} {
		f.b.open(f.w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {hint}}.Encode())
		if !strings.Contains(f.b.page, "<form") { // the person is asked
			f.Errorf("%s: %d", name, f.b.status)
		}
		if f.ask("prompt", "none"); f.b.gone.Query().Get("code") == "" {
			f.Errorf("%s has signed out: %v", name, f.b.gone)
		}
	}
}

func logoutForeign(f *profile) {
	for _, to := range []string{"https://evil.example/", "https://shop.example/bye/x", "https://shop.example/bye?x=y", "javascript:alert(1)"} {
		token, _ := f.signsOn("prompt", "login")
		f.b.open(f.w.node.URL() + "/oauth2/logout?" + url.Values{"id_token_hint": {idOf(token)}, "post_logout_redirect_uri": {to}}.Encode())
		if f.b.gone != nil || f.b.status != http.StatusOK || strings.Contains(f.b.page, "evil") {
			f.Errorf("%s: %v %d", to, f.b.gone, f.b.status)
		}
	}
}

func codeTwice(f *profile) {
	f.ask()
	f.b.signIn()
	code := f.b.code()
	token, err := f.p.trade(code)
	must(f, err)
	f.w.clock.pass(30 * time.Second)
	if _, err := f.p.trade(code); !isError(err, "invalid_grant") {
		f.Errorf("twice: %v", err)
	}
	if _, err := f.p.refresh(token.RefreshToken); !isError(err, "invalid_grant") {
		f.Errorf("what came of it: %v", err)
	}
}

func basicChallenge(f *profile) {
	resp, out := f.get(http.MethodPost, f.w.node.URL()+"/oauth2/token", "Basic", "c2hvcDp3cm9uZw==")
	if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") || out["error"] != "invalid_client" {
		f.Errorf("%d %v %v", resp.StatusCode, resp.Header, out)
	}
}
