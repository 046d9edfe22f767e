package oidctest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// fresh signs in once and then gives a new ID token for each call.
func (w *world) fresh() func() string {
	w.t.Helper()
	w.authorize(w.request())
	return func() string {
		w.t.Helper()
		a := w.post("/token", codeForm(w.handed(w.open(w.request())).Get("code")))
		if a.Status != http.StatusOK {
			w.t.Fatalf("token endpoint: %d %s", a.Status, a.Body)
		}
		return a.text("id_token")
	}
}

func newKey(t *testing.T, alg string) oidctest.Key {
	t.Helper()
	k, err := oidctest.NewKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Each fault of the ID token fires; after Behave the token is good again.
func TestIDTokenFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.fresh()
	stranger := newKey(t, "ES256")
	now := w.clock.Now().Unix()
	claim := func(name string) func(string) any {
		return func(tok string) any { return part(t, tok, 1)[name] }
	}
	head := func(name string) func(string) any { return func(tok string) any { return part(t, tok, 0)[name] } }
	raw := func(i int, text string) func(string) any {
		return func(tok string) any {
			b, err := base64.RawURLEncoding.DecodeString(strings.Split(tok, ".")[i])
			return err == nil && strings.HasSuffix(string(b), text)
		}
	}
	for name, c := range map[string]struct {
		fault   oidctest.Fault
		look    func(token string) any
		want    any
		refused bool // by go-oidc
	}{
		"set":             {oidctest.SetClaim("acr", []string{"x"}), func(tok string) any { return len(part(t, tok, 1)["acr"].([]any)) }, 1, false},
		"issuer":          {oidctest.SetClaim("iss", "https://evil.example"), claim("iss"), "https://evil.example", true},
		"no nonce":        {oidctest.DropClaims("nonce", "sub"), claim("nonce"), nil, false},
		"no audience":     {oidctest.DropClaims("aud"), claim("aud"), nil, true},
		"expired":         {oidctest.ShiftTimes(-time.Hour), claim("exp"), float64(now - 3300), true},
		"future":          {oidctest.ShiftTimes(time.Hour), claim("iat"), float64(now + 3600), false},
		"audiences":       {oidctest.Audiences("evil", "evil"), claim("azp"), "evil", false},
		"duplicate claim": {oidctest.DuplicateClaim("sub", "admin"), raw(1, `,"sub":"admin"}`), true, false},
		"duplicate alg":   {oidctest.DuplicateHeader("alg", "none"), raw(0, `,"alg":"none"}`), true, true},
		"crit":            {oidctest.SetHeader("crit", []string{"exp"}), func(tok string) any { return part(t, tok, 0)["crit"] != nil }, true, true},
		"typ":             {oidctest.SetHeader("typ", "logout+jwt"), head("typ"), "logout+jwt", false},
		"no kid":          {oidctest.DropHeader("kid"), head("kid"), nil, false},
		"unknown key":     {oidctest.SignedBy(stranger, false), head("kid"), stranger.ID, true},
		"other key":       {oidctest.SignedBy(stranger, true), func(tok string) any { return part(t, tok, 0)["kid"] != stranger.ID }, true, true},
		"embedded key":    {oidctest.EmbeddedKey(stranger), func(tok string) any { return part(t, tok, 0)["jwk"] != nil }, true, true},
		"none":            {oidctest.AlgNone("nOnE"), head("alg"), "nOnE", true},
		"PEM as secret":   {oidctest.HMACWithPublicKey(oidctest.Key.PEM), head("alg"), "HS256", true},
		"stripped":        {oidctest.StripSignature(), func(tok string) any { return strings.HasSuffix(tok, ".") }, true, true},
		"broken":          {oidctest.BreakSignature(), func(tok string) any { return strings.Count(tok, ".") }, 2, true},
	} {
		w.Misbehave(c.fault)
		bent := token()
		if got := c.look(bent); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if _, err := w.verify(bent); (err != nil) != c.refused {
			t.Errorf("%s: go-oidc says %v", name, err)
		}
		w.Behave()
	}
	if _, err := w.verify(token()); err != nil {
		t.Errorf("after Behave: %v", err)
	}
}

func TestWrongATHash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.WrongATHash())
	a := w.tokens()
	id, err := w.verify(a.text("id_token"))
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(a.text("access_token")); err == nil {
		t.Error("at_hash fits")
	}
}

// The signature that HMACWithPublicKey makes is the one that a confused
// verifier would accept, and the one by a stranger's key is his.
func TestForgedSignaturesAreReal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.fresh()
	w.Misbehave(oidctest.HMACWithPublicKey(func(k oidctest.Key) ([]byte, error) { return k.JWK() }))
	tok := token()
	body := w.get("/jwks").Body
	mac := hmac.New(sha256.New, []byte(body[len(`{"keys":[`):len(body)-len(`]}`)]))
	cut := strings.LastIndexByte(tok, '.')
	mac.Write([]byte(tok[:cut]))
	if got := base64.RawURLEncoding.EncodeToString(mac.Sum(nil)); got != tok[cut+1:] {
		t.Error("the HMAC is not made with the published key")
	}
	w.Behave()
	stranger := newKey(t, "ES256")
	w.Misbehave(oidctest.SignedBy(stranger, false))
	w.Misbehave(oidctest.ForeignKeys(stranger))
	if _, err := w.verify(token()); err != nil {
		t.Errorf("with the stranger's key published: %v", err)
	}
}

func TestRedirectFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.authorize(w.request())
	for name, c := range map[string]struct {
		fault oidctest.Fault
		want  string
	}{
		"no iss":       {oidctest.DropParam("iss"), "code=C&state=the-state"},
		"other iss":    {oidctest.SetParam("iss", "https://evil.example"), "code=C&state=the-state&iss=https%3A%2F%2Fevil.example"},
		"no state":     {oidctest.DropParam("state"), "code=C&iss=I"},
		"two states":   {oidctest.AddParam("state", "other"), "code=C&state=the-state&iss=I&state=other"},
		"other code":   {oidctest.SetParam("code", "x"), "state=the-state&iss=I&code=x"},
		"error":        {oidctest.RefuseWith("server_error"), "state=the-state&iss=I&error=server_error"},
		"other target": {oidctest.Fault{Redirect: func(r *oidctest.Redirect) { r.URI = "com.evil.app:/x" }}, "code=C&state=the-state&iss=I"},
		"seen by hook": {oidctest.Fault{Redirect: func(r *oidctest.Redirect) {
			r.Params = []oidctest.Param{{Name: "was", Value: r.Get("state") + r.Get("none")}}
		}}, "was=the-state"},
	} {
		w.Misbehave(c.fault)
		page := w.open(w.request())
		code := page.Handed.Query().Get("code")
		got := strings.ReplaceAll(page.Handed.RawQuery, "iss="+form("x", w.Issuer())[2:], "iss=I")
		if len(code) > 20 {
			got = strings.ReplaceAll(got, code, "C")
		}
		if got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		if other := page.Handed.Scheme == "com.evil.app"; other != (name == "other target") {
			t.Errorf("%s: handed to %s", name, page.Handed.Scheme)
		}
		w.Behave()
	}
	w.Misbehave(oidctest.SetParam("iss", "https://evil.example"))
	if got := w.handed(w.open(w.request("scope", "profile"))); got.Get("error") != "invalid_scope" || got.Get("iss") != "https://evil.example" {
		t.Errorf("an error with a wrong issuer: %v", got)
	}
}

func TestAnswerFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const discovery, jwks = "/.well-known/openid-configuration", "/jwks"
	stranger := newKey(t, "ES256")
	for name, c := range map[string]struct {
		fault oidctest.Fault
		path  string
		check func(a answer) bool
	}{
		"status":        {oidctest.Status(oidctest.EndpointDiscovery, 503), discovery, func(a answer) bool { return a.Status == 503 && a.JSON != nil }},
		"type":          {oidctest.ContentType(oidctest.EndpointDiscovery, "text/plain"), discovery, func(a answer) bool { return a.Header.Get("Content-Type") == "text/plain" }},
		"HTML":          {oidctest.Body(oidctest.EndpointJWKS, "text/html", "<p>Oops"), jwks, func(a answer) bool { return a.Body == "<p>Oops" && a.Header.Get("Content-Type") == "text/html" }},
		"redirect":      {oidctest.RedirectTo(oidctest.EndpointJWKS, "https://evil.example/"), jwks, func(a answer) bool { return a.Status == 307 && a.Header.Get("Location") == "https://evil.example/" }},
		"member":        {oidctest.SetMember(oidctest.EndpointDiscovery, "issuer", "x"), discovery, func(a answer) bool { return a.text("issuer") == "x" && a.text("jwks_uri") != "" }},
		"no member":     {oidctest.DropMembers(oidctest.EndpointDiscovery, "jwks_uri"), discovery, func(a answer) bool { return a.text("issuer") != "" && a.JSON["jwks_uri"] == nil }},
		"double member": {oidctest.DoubleMember(oidctest.EndpointDiscovery, "issuer", "x"), discovery, func(a answer) bool { return strings.Count(a.Body, `"issuer":`) == 2 && a.text("issuer") == "x" }},
		"no JSON":       {oidctest.Fault{Answer: func(_ string, a *oidctest.Answer) { a.Body = []byte("{"); a.Status = 0 }}, jwks, func(a answer) bool { return a.Body == "{" && a.Status == 200 }},
		"no keys":       {oidctest.NoKeys(), jwks, func(a answer) bool { return a.Body == `{"keys":[]}` }},
		"foreign keys":  {oidctest.ForeignKeys(stranger), jwks, func(a answer) bool { return keyIDs(a)[0] == stranger.ID && len(keyIDs(a)) == 1 }},
		"many keys":     {oidctest.ManyKeys(10_000), jwks, func(a answer) bool { return len(keyIDs(a)) == 10_001 && keyIDs(a)[9_999] == "copy-9999" }},
	} {
		w.Misbehave(c.fault)
		if a := w.get(c.path); !c.check(a) {
			t.Errorf("%s: %d %.200s", name, a.Status, a.Body)
		}
		w.Behave()
	}
}

func keyIDs(a answer) []string {
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
		} `json:"keys"`
	}
	_ = json.Unmarshal([]byte(a.Body), &set) // no keys then, and the check fails
	ids := []string{}
	for _, k := range set.Keys {
		ids = append(ids, k.KID)
	}
	return ids
}

func TestTokenAndUserInfoFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.authorize(w.request())
	exchange := func() answer { return w.post("/token", codeForm(w.handed(w.open(w.request())).Get("code"))) }
	w.Misbehave(oidctest.DropMembers(oidctest.EndpointToken, "id_token"))
	w.Misbehave(oidctest.SetMember(oidctest.EndpointToken, "token_type", "mac"))
	w.Misbehave(oidctest.SetMember(oidctest.EndpointUserInfo, "sub", "other"))
	a := exchange()
	if a.JSON["id_token"] != nil || a.text("token_type") != "mac" || a.JSON["expires_in"] != float64(600) {
		t.Errorf("token: %s", a.Body)
	}
	if info := w.get("/userinfo", "Authorization", "Bearer "+a.text("access_token")); info.text("sub") != "other" || info.text("email") == "" {
		t.Errorf("userinfo: %s", info.Body)
	}
	w.Behave()
	if a := exchange(); a.text("id_token") == "" || a.text("token_type") != "Bearer" {
		t.Errorf("after Behave: %s", a.Body)
	}
}

// A cut answer is lost, but the request was carried out.
func TestCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.authorize(w.request()).Get("code")
	w.Misbehave(oidctest.Cut(oidctest.EndpointToken))
	if _, err := w.http.Do(w.newRequest(http.MethodPost, "/token", codeForm(code), "Content-Type", "application/x-www-form-urlencoded")); err == nil {
		t.Fatal("an answer came")
	}
	w.Behave()
	w.want("the code is spent", w.post("/token", codeForm(code)), 400, "invalid_grant")
}

func TestEndless(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.Endless(oidctest.EndpointToken))
	res, err := w.http.Do(w.newRequest(http.MethodPost, "/token", "", "Content-Type", "application/x-www-form-urlencoded"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.CopyN(io.Discard, res.Body, 8<<20); err != nil {
		t.Errorf("the body ends after %d bytes: %v", n, err)
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointJWKS))
	done := make(chan int)
	req := w.newRequest(http.MethodGet, "/jwks", "")
	go func() {
		res, err := w.http.Do(req)
		if err != nil {
			done <- 0
			return
		}
		_ = res.Body.Close()
		done <- res.StatusCode
	}()
	if got := <-gate.Held(); got != oidctest.EndpointJWKS {
		t.Errorf("held %q", got)
	}
	if a := w.get("/.well-known/openid-configuration"); a.Status != http.StatusOK {
		t.Errorf("another endpoint: %d", a.Status)
	}
	select {
	case <-done:
		t.Fatal("the gate holds nothing")
	default:
	}
	gate.Release()
	gate.Release()
	if got := <-done; got != http.StatusOK {
		t.Errorf("after Release: %d", got)
	}
}

// A client that gives up frees the request, also with a body.
func TestHeldRequestEndsWithItsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ended := make(chan struct{})
	held := make(chan struct{})
	w.Misbehave(oidctest.Fault{Before: func(ctx context.Context, _ string) {
		close(held)
		<-ctx.Done()
		close(ended)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	req := w.newRequest(http.MethodPost, "/token", "grant_type=x", "Content-Type", "application/x-www-form-urlencoded").WithContext(ctx)
	go func() {
		<-held
		cancel()
	}()
	if _, err := w.http.Do(req); err == nil {
		t.Error("an answer came")
	}
	<-ended
}

func TestDelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.Delay(time.Millisecond, oidctest.EndpointJWKS))
	if a := w.get("/jwks"); a.Status != http.StatusOK {
		t.Errorf("after a delay: %d", a.Status)
	}
	w.Misbehave(oidctest.Delay(time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.http.Do(w.newRequest(http.MethodGet, "/jwks", "").WithContext(ctx)); err == nil {
		t.Error("no delay")
	}
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/jwks") // leaves a connection open
	w.Down()
	for range 2 {
		if _, err := w.http.Do(w.newRequest(http.MethodGet, "/jwks", "")); err == nil {
			t.Error("an answer while down")
		}
	}
	w.Up()
	if a := w.get("/jwks"); a.Status != http.StatusOK {
		t.Errorf("after Up: %d", a.Status)
	}
	if got := w.Calls(oidctest.EndpointJWKS); got != 2 {
		t.Errorf("calls: %d", got)
	}
}

// Close ends what is held and what never ends, and then nobody listens.
func TestClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointJWKS))
	w.Misbehave(oidctest.Endless(oidctest.EndpointDiscovery))
	req := w.newRequest(http.MethodGet, "/jwks", "")
	failed := make(chan error, 2)
	go func() {
		_, err := w.http.Do(req)
		failed <- err
	}()
	<-gate.Held()
	res, err := w.http.Do(w.newRequest(http.MethodGet, "/.well-known/openid-configuration", ""))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		failed <- err
	}()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-failed; err == nil {
			t.Error("a complete answer")
		}
	}
	if _, err := w.http.Do(w.newRequest(http.MethodGet, "/jwks", "")); err == nil {
		t.Error("an answer after Close")
	}
}

// Faults act in the order in which they were added.
func TestFaultsAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Misbehave(oidctest.Body(oidctest.EndpointJWKS, "text/plain", "a"))
	w.Misbehave(oidctest.Fault{Answer: func(_ string, a *oidctest.Answer) { a.Body = bytes.Repeat(a.Body, 3) }})
	if got := w.get("/jwks").Body; got != "aaa" {
		t.Errorf("body %q", got)
	}
}
