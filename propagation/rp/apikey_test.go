package rp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stile-auth/stile/propagation/rp"
)

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	key, hash := rp.NewAPIKey()
	if len(key) != 43 || key == hash {
		t.Errorf("%q %q", key, hash)
	}
	keys, err := rp.NewAPIKeys([]rp.APIKey{{Name: "app", Hash: hash, Uses: []string{"catalogue"}}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(use string, values ...string) *httptest.ResponseRecorder {
		r := request("", "")
		for _, v := range values {
			r.Header.Add(rp.HeaderAPIKey, v)
		}
		rec := httptest.NewRecorder()
		keys.Require(use, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			k, err := rp.KeyFrom(r.Context())
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write([]byte(k.Name))
		})).ServeHTTP(rec, r)
		return rec
	}
	if rec := ask("catalogue", key); rec.Code != http.StatusOK || rec.Body.String() != "app" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for name, c := range map[string]struct {
		use    string
		values []string
		status int
	}{
		"none":            {"catalogue", nil, 401},
		"an empty one":    {"catalogue", []string{""}, 401},
		"another":         {"catalogue", []string{key + "a"}, 401},
		"its hash":        {"catalogue", []string{hash}, 401},
		"twice":           {"catalogue", []string{key, key}, 401},
		"for another use": {"administration", []string{key}, 403},
	} {
		if rec := ask(c.use, c.values...); rec.Code != c.status || c.status == 401 && rec.Header().Get("WWW-Authenticate") == "" || strings.Contains(rec.Body.String(), key) {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
}

func TestNewAPIKeys(t *testing.T) {
	t.Parallel()
	_, hash := rp.NewAPIKey()
	for name, list := range map[string][]rp.APIKey{
		"the key itself": {{Name: "app", Hash: "secret"}},
		"no name":        {{Hash: hash}},
		"twice":          {{Name: "a", Hash: hash}, {Name: "b", Hash: hash}},
	} {
		if _, err := rp.NewAPIKeys(list); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	served := 0
	h := rp.CORS([]string{"https://shop.example"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	ask := func(method, origin, preflight string) http.Header {
		r := httptest.NewRequest(method, "/accounts", http.NoBody)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if preflight != "" {
			r.Header.Set("Access-Control-Request-Method", preflight)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Result().Header
	}
	if got := ask("OPTIONS", "https://shop.example", "GET"); got.Get("Access-Control-Allow-Origin") != "https://shop.example" ||
		!strings.Contains(got.Get("Access-Control-Allow-Headers"), "Authorization") || got.Get("Vary") != "Origin" || served != 0 {
		t.Errorf("%v", got)
	}
	if got := ask("GET", "https://shop.example", ""); got.Get("Access-Control-Allow-Origin") != "https://shop.example" || served != 1 {
		t.Errorf("%v", got)
	}
	for _, origin := range []string{"https://shop.example.evil.example", "https://SHOP.example", "null", "http://shop.example"} {
		if got := ask("OPTIONS", origin, "GET"); got.Get("Access-Control-Allow-Origin") != "" || got.Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("%s: %v", origin, got)
		}
	}
	if got := ask("GET", "https://shop.example", ""); got.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("cookies are not wanted")
	}
}
