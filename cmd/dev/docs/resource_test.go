package docs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/rp"
)

// shownAPI is what README.md and the guide for relying parties show, put together. to
// leads to the issuer.
func shownAPI(t *testing.T, to http.RoundTripper, hash string) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	accounts := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := rp.From(r.Context()) // in the handler: who.Subject, who.Roles, who.ACR
		if err != nil {
			rp.Refuse(w, err)
			return
		}
		_, _ = w.Write([]byte(who.Subject + " " + strings.Join(who.Roles, " ") + " " + who.ACR))
	})
	transfers, customers, prices := accounts, accounts, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

	published := oidcclient.KeysConfig{Issuer: "https://id.bank.example", Now: time.Now}
	published.Transport = to
	keys, err := oidcclient.NewKeys(published)
	need(t, err)
	guard, err := rp.New(rp.Config{Issuer: published.Issuer, Audience: "https://payments.bank.example", Keys: keys, Now: time.Now})
	need(t, err)
	short := http.NewServeMux() // that of README.md takes no tokens that are bound to a key
	short.Handle("POST /transfers", guard.Require(rp.Rule{ACR: []string{"aal2", "aal3"}, MaxAge: 5 * time.Minute}, transfers))
	guard, err = rp.New(rp.Config{
		Issuer: published.Issuer, Audience: "https://payments.bank.example", Origin: "https://payments.bank.example", Keys: keys, Now: time.Now,
	})
	need(t, err)
	mux.Handle("GET /accounts", guard.Require(rp.Rule{}, accounts))
	mux.Handle("POST /transfers", guard.Require(rp.Rule{ACR: []string{"aal2", "aal3"}, MaxAge: 5 * time.Minute}, transfers))
	mux.Handle("GET /customers", guard.Require(rp.Rule{Roles: []string{"administrator"}}, customers))
	apps, err := rp.NewAPIKeys([]rp.APIKey{{Name: "the phone app", Hash: hash, Uses: []string{"prices"}}})
	need(t, err)
	mux.Handle("GET /prices", apps.Require("prices", prices))
	mux.Handle("POST /short/transfers", http.StripPrefix("/short", short))
	api := rp.CORS([]string{"https://shop.example"}, mux)
	return api
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What the pages show of package rp is what runs here, line by line and in order.
func TestShownGo(t *testing.T) {
	t.Parallel()
	ours, err := os.ReadFile("resource_test.go")
	need(t, err)
	running := trimmed(string(ours))
	blocks := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language != "go" || !strings.Contains(b.text, "rp.") && !strings.Contains(b.text, "oidcclient.") {
				continue
			}
			blocks++
			for _, line := range trimmed(b.text) {
				same := func(l string) bool { return l == line || l == strings.Replace(line, ":=", "=", 1) }
				if !slices.ContainsFunc(running, same) {
					t.Errorf("%s shows what does not run: %s", p.name, line)
				}
			}
		}
	}
	if blocks < 7 {
		t.Errorf("%d blocks", blocks)
	}
}

func trimmed(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// publishing carries requests to an issuer of that name.
type publishing map[string]http.Handler

// RoundTrip implements [http.RoundTripper].
func (p publishing) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	h := p[r.URL.Path]
	if h == nil || r.URL.Host != "id.bank.example" {
		h = http.NotFoundHandler()
	}
	h.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// The shown API answers as the guide says.
func TestShownAPI(t *testing.T) {
	t.Parallel()
	key, err := propagation.GenerateKey(propagation.ES256)
	need(t, err)
	set, err := propagation.NewKeySet(key)
	need(t, err)
	issuer, err := propagation.NewBearerJWT(propagation.BearerConfig{Issuer: "https://id.bank.example", Keys: set})
	need(t, err)
	documents, err := propagation.Documents(t.Context(), propagation.DocumentsConfig{
		Issuer: "https://id.bank.example", Keys: set, ACRValues: func() []string { return []string{"aal1"} }, DPoPAlgorithms: []string{"ES256"},
	})
	need(t, err)
	token := func(acr string, roles ...string) string {
		now := time.Now()
		grant, err := issuer.Propagate(t.Context(), flows.Identity{
			Subject: "jane", Client: "bank-app", Session: "s", ACR: acr, AMR: []string{"pwd"}, AuthTime: now, Target: "payments",
			Audience: "https://payments.bank.example", Claims: map[string]any{"roles": roles}, Now: now,
		})
		need(t, err)
		return "Bearer " + grant.Token
	}
	app, hash := rp.NewAPIKey()
	api := shownAPI(t, publishing(documents), hash)
	for name, c := range map[string]struct {
		request, header, value string
		status                 int
		says                   string
	}{
		"nobody":                   {"GET /accounts", "", "", 401, ""},
		"a token that was made up": {"GET /accounts", "Authorization", "Bearer made-up", 401, "invalid_token"},
		"a good token":             {"GET /accounts", "Authorization", token("aal1", "customer"), 200, "jane customer aal1"},
		"too low":                  {"POST /transfers", "Authorization", token("aal1"), 401, "insufficient_user_authentication"},
		"high enough":              {"POST /transfers", "Authorization", token("aal2"), 200, "aal2"},
		"README: too low":          {"POST /short/transfers", "Authorization", token("aal1"), 401, "insufficient_user_authentication"},
		"README: high enough":      {"POST /short/transfers", "Authorization", token("aal2"), 200, "aal2"},
		"no administrator":         {"GET /customers", "Authorization", token("aal2", "customer"), 403, "insufficient_scope"},
		"an administrator":         {"GET /customers", "Authorization", token("aal1", "customer", "administrator"), 200, "administrator"},
		"no key":                   {"GET /prices", "", "", 401, ""},
		"an app's key":             {"GET /prices", "X-API-Key", app, 200, ""},
		"a script of the shop":     {"GET /accounts", "Origin", "https://shop.example", 401, ""},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		r := httptest.NewRequest(method, path, http.NoBody)
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		rec := httptest.NewRecorder()
		api.ServeHTTP(rec, r)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.says) {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
		if readable := rec.Header().Get("Access-Control-Allow-Origin") != ""; readable != (c.header == "Origin") {
			t.Errorf("%s: scripts may read it: %v", name, readable)
		}
	}
	down := shownAPI(t, publishing{}, hash)
	r := httptest.NewRequest(http.MethodGet, "/accounts", http.NoBody)
	r.Header.Set("Authorization", token("aal1"))
	rec := httptest.NewRecorder()
	if down.ServeHTTP(rec, r); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "temporarily_unavailable") {
		t.Errorf("without keys: %d %s", rec.Code, rec.Body)
	}
}

// A guard that asks the issuer takes what the issuer says.
func TestShownIntrospection(t *testing.T) {
	t.Parallel()
	const audience, secret = "https://payments.bank.example", "a secret"
	var issuer string
	active := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, given, _ := r.BasicAuth(); r.URL.Path != "/oauth2/introspect" || id != "payments" || given != "a+secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		need(t, json.NewEncoder(w).Encode(map[string]any{
			"active": active, "iss": issuer, "aud": audience, "sub": "jane", "client_id": "app", "jti": "1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		}))
	}))
	t.Cleanup(server.Close)
	issuer = server.URL
	guard, err := rp.New(rp.Config{
		Issuer: issuer, Audience: audience, Now: time.Now, Remember: 10_000,
		Introspection: &rp.Introspection{Endpoint: issuer + "/oauth2/introspect", ClientID: "payments", ClientSecret: secret, For: 5 * time.Second},
	})
	need(t, err)
	ask := func(token string) error {
		r := httptest.NewRequest(http.MethodGet, "/accounts", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := guard.Check(r, rp.Rule{})
		return err
	}
	if err := ask("one"); err != nil {
		t.Error(err)
	}
	active = false
	if err := ask("two"); err == nil {
		t.Error("a token that is not active")
	}
}
