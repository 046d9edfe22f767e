package rp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stile-auth/stile/propagation/rp"
)

// A good token gets in and says what it says.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.guard().Check(request("bearer "+w.sign(w.parts()), ""), rp.Rule{
		ACR: []string{"aal3", "aal2"}, AMR: []string{"otp"}, MaxAge: time.Minute, Scopes: []string{"write"},
		Roles: []string{"teller"}, Entitlements: []string{"ledger:post"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "jane" || got.Client != "app" || got.Session != "s1" || !got.Expires.Equal(now.Add(5*time.Minute)) || got.Claims["sub"] != "jane" {
		t.Errorf("%+v", got)
	}
}

// Each change breaks one check of the token.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	header := func(name string, value any) func(*parts) { return func(p *parts) { p.header[name] = value } }
	claim := func(name string, value any) func(*parts) { return func(p *parts) { p.claims[name] = value } }
	without := func(name string) func(*parts) {
		return func(p *parts) { delete(p.header, name); delete(p.claims, name) }
	}
	for name, change := range map[string]func(*parts){
		"of another type":            header("typ", "JWT"),
		"a DPoP proof":               header("typ", "dpop+jwt"),
		"without a type":             without("typ"),
		"by an unknown key":          header("kid", "k2"),
		"of another algorithm":       header("alg", "ES384"),
		"without a signature":        header("alg", "none"),
		"with what is critical":      func(p *parts) { p.header["crit"], p.header["exp"] = []string{"exp"}, 1 },
		"signed by somebody else":    func(p *parts) { p.signer = newKey(t) },
		"of another issuer":          claim("iss", issuer+"/"),
		"for another audience":       claim("aud", "https://ledger.bank.example"),
		"for other audiences":        claim("aud", []string{"https://ledger.bank.example"}),
		"for nobody":                 without("aud"),
		"without a subject":          without("sub"),
		"without a client":           without("client_id"),
		"without an id":              without("jti"),
		"without a time":             without("iat"),
		"without an end":             without("exp"),
		"expired now":                claim("exp", now.Unix()),
		"issued later":               claim("iat", now.Add(time.Minute).Unix()),
		"not good yet":               claim("nbf", now.Add(time.Minute).Unix()),
		"authenticated later":        claim("auth_time", now.Add(time.Minute).Unix()),
		"bound to a certificate":     claim("cnf", map[string]string{"x5t#S256": "abc"}),
		"bound to a key, as Bearer":  claim("cnf", map[string]string{"jkt": "abc"}),
		"with a number for a string": claim("sub", 7),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.parts()
			change(p)
			_, err := w.guard().Check(request("Bearer "+w.sign(p), ""), rp.Rule{ACR: []string{"aal3"}})
			r := refused(t, err, http.StatusUnauthorized, "invalid_token")
			if strings.Contains(r.Challenges[0], "aal3") {
				t.Error("who has no good token is told what the resource asks for")
			}
		})
	}
}

// A member that stands twice is no member: parsers differ in which they read.
func TestDoubledClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := `{"sub":"jane","sub":"admin",` // before the rest
	rest, _ := json.Marshal(w.parts().claims)
	p := w.parts()
	_, err := w.guard().Check(request("Bearer "+w.signedText(p.header, text+string(rest[1:]), w.signer), ""), rp.Rule{})
	refused(t, err, http.StatusUnauthorized, "invalid_token")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, token := w.guard(), w.sign(w.parts())
	_, err := g.Check(request("", ""), rp.Rule{})
	if r := refused(t, err, http.StatusUnauthorized, ""); !slices.Equal(r.Challenges,
		[]string{`Bearer realm="payments.bank.example"`, `DPoP realm="payments.bank.example", algs="ES256 EdDSA PS256"`}) {
		t.Errorf("%q", r.Challenges)
	}
	_, err = g.Check(request("Basic amFuZTp4", ""), rp.Rule{})
	refused(t, err, http.StatusUnauthorized, "")
	for _, bad := range []string{"Bearer ", "Bearer", "Bearer " + token + ", Bearer x", "Bearer " + strings.Repeat("a", 17<<10)} {
		_, err = g.Check(request(bad, ""), rp.Rule{})
		refused(t, err, http.StatusBadRequest, "invalid_request")
	}
	twice := request("Bearer "+token, "")
	twice.Header.Add("Authorization", "Bearer "+token)
	_, err = g.Check(twice, rp.Rule{})
	refused(t, err, http.StatusBadRequest, "invalid_request")
	query := httptest.NewRequest(http.MethodGet, "/accounts?access_token="+token, http.NoBody)
	query.Header.Set("Authorization", "Bearer "+token)
	_, err = g.Check(query, rp.Rule{})
	refused(t, err, http.StatusBadRequest, "invalid_request")
}

func TestRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, token := w.guard(), w.sign(w.parts())
	const realm = `Bearer realm="payments.bank.example", error=`
	for _, c := range []struct {
		rule      rp.Rule
		status    int
		code      string
		challenge string
	}{
		{rp.Rule{ACR: []string{"aal3", "phr"}, MaxAge: time.Hour}, 401, "insufficient_user_authentication", `, acr_values="aal3 phr", max_age="3600"`},
		{rp.Rule{AMR: []string{"hwk"}}, 401, "insufficient_user_authentication", ""},
		{rp.Rule{MaxAge: 59 * time.Second}, 401, "insufficient_user_authentication", `, max_age="59"`},
		{rp.Rule{Scopes: []string{"read", "admin"}}, 403, "insufficient_scope", `, scope="read admin"`},
		{rp.Rule{Roles: []string{"teller", "manager"}}, 403, "insufficient_scope", ""},
		{rp.Rule{Entitlements: []string{"ledger:close"}}, 403, "insufficient_scope", ""},
		{rp.Rule{Roles: []string{"manager"}, ACR: []string{"aal3"}}, 403, "insufficient_scope", ""}, // no step-up helps
	} {
		_, err := g.Check(request("Bearer "+token, ""), c.rule)
		r := refused(t, err, c.status, c.code)
		if !strings.HasPrefix(r.Challenges[0], realm+`"`+c.code+`"`) || !strings.HasSuffix(r.Challenges[0], c.challenge) {
			t.Errorf("%+v is answered %s", c.rule, r.Challenges[0])
		}
	}
}

// A token that says nothing of an authentication satisfies no rule about it.
func TestAbsentClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.parts()
	for _, name := range []string{"acr", "amr", "auth_time"} {
		delete(p.claims, name)
	}
	for _, rule := range []rp.Rule{{ACR: []string{"aal1"}}, {AMR: []string{"pwd"}}, {MaxAge: 100 * 365 * 24 * time.Hour}} {
		_, err := w.guard().Check(request("Bearer "+w.sign(p), ""), rule)
		refused(t, err, http.StatusUnauthorized, "insufficient_user_authentication")
	}
}

func TestProofOfPossession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g, token := w.guard(), w.bound()
	proof := w.proof(token, nil)
	if _, err := g.Check(request("DPoP "+token, proof), rp.Rule{}); err != nil {
		t.Fatal(err)
	}
	check := func(name, authorization, proof, code string) {
		t.Helper()
		_, err := g.Check(request(authorization, proof), rp.Rule{})
		r := refused(t, err, http.StatusUnauthorized, code)
		if strings.HasPrefix(authorization, "DPoP") && !strings.HasPrefix(r.Challenges[0], "DPoP ") {
			t.Errorf("%s: %s", name, r.Challenges[0])
		}
	}
	check("again", "DPoP "+token, proof, "invalid_dpop_proof")
	check("none", "DPoP "+token, "", "invalid_dpop_proof")
	check("for another path", "DPoP "+token, w.proof(token, map[string]any{"htu": audience + "/transfers"}), "invalid_dpop_proof")
	check("for another host", "DPoP "+token, w.proof(token, map[string]any{"htu": "https://example.com/accounts"}), "invalid_dpop_proof")
	check("for another method", "DPoP "+token, w.proof(token, map[string]any{"htm": "POST"}), "invalid_dpop_proof")
	check("for another token", "DPoP "+token, w.proof("another", nil), "invalid_dpop_proof")
	check("a bound token as Bearer", "Bearer "+token, w.proof(token, nil), "invalid_token")
	check("a free token as DPoP", "DPoP "+w.sign(w.parts()), w.proof(w.sign(w.parts()), nil), "invalid_token")
	thief := *w
	thief.device = newKey(t)
	check("by another key", "DPoP "+token, thief.proof(token, nil), "invalid_dpop_proof")

	w.cfg.Origin = ""
	g = w.guard()
	check("where we do not know our name", "DPoP "+token, w.proof(token, nil), "invalid_token")
}

// Behind a router that takes a prefix off, the proof is still for what the client asked for.
func TestProofBehindPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.bound()
	h := http.StripPrefix("/accounts", w.guard().Require(rp.Rule{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, request("DPoP "+token, w.proof(token, nil)))
	if rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// Who guards and cannot know lets nobody in.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.down = true
	rec := httptest.NewRecorder()
	w.guard().Require(rp.Rule{}, unreachable(t)).ServeHTTP(rec, request("Bearer "+w.sign(w.parts()), ""))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	w.down = false
	w.cfg.Taken = func(context.Context, string, string, time.Time) error { return errors.New("no route") }
	rec = httptest.NewRecorder()
	token := w.bound()
	w.guard().Require(rp.Rule{}, unreachable(t)).ServeHTTP(rec, request("DPoP "+token, w.proof(token, nil)))
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", rec.Code)
	}
}

func unreachable(t *testing.T) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the resource was reached") })
}

// Both adapters find the token in the handler; a handler without a guard finds none.
func TestAdapters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.guard()
	hello := http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		token, err := rp.From(r.Context())
		if err != nil {
			rp.Refuse(out, err)
			return
		}
		_, _ = out.Write([]byte(token.Subject))
	})
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET("/accounts", g.Gin(rp.Rule{Scopes: []string{"read"}}), gin.WrapH(hello))
	for name, h := range map[string]http.Handler{"net/http": g.Require(rp.Rule{Scopes: []string{"read"}}, hello), "gin": router} {
		for authorization, want := range map[string]int{"": 401, "Bearer " + w.sign(w.parts()): 200} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, request(authorization, ""))
			if rec.Code != want || want == 200 && rec.Body.String() != "jane" || want == 401 && rec.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
			}
		}
	}
	rec := httptest.NewRecorder()
	hello.ServeHTTP(rec, request("", ""))
	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("without a guard: %d", rec.Code)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rp.Config){
		"Issuer is required":   func(c *rp.Config) { c.Issuer = "" },
		"Audience is required": func(c *rp.Config) { c.Audience = "" },
		"Keys is required":     func(c *rp.Config) { c.Keys = nil },
		"Now is required":      func(c *rp.Config) { c.Now = nil },
		"Leeway":               func(c *rp.Config) { c.Leeway = 2 * time.Minute },
		"no Algorithms":        func(c *rp.Config) { c.Algorithms = []string{} },
		`"HS256"`:              func(c *rp.Config) { c.Algorithms = []string{"HS256"} },
		`"none"`:               func(c *rp.Config) { c.Algorithms = []string{"none"} },
		"Realm":                func(c *rp.Config) { c.Realm = "a\"b" },
		"Origin":               func(c *rp.Config) { c.Origin = "https://a.example/" },
	} {
		w := newWorld(t)
		change(&w.cfg)
		if _, err := rp.New(w.cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a rule that no challenge can say")
		}
	}()
	newWorld(t).guard().Require(rp.Rule{ACR: []string{`a"b`}}, nil)
}
