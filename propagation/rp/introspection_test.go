package rp_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/propagation/rp"
)

// endpoint is the issuer's, as the standard has it.
type endpoint struct {
	*httptest.Server
	token  string // the good one
	answer map[string]any
	asked  int
	status int
	media  string
	body   string // in place of the answer
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{token: "opaque", status: http.StatusOK, media: "application/json"}
	e.answer = maps.Clone(map[string]any(newWorld(t).parts().claims))
	e.answer["active"] = true
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.asked++
	id, secret, _ := r.BasicAuth()
	switch {
	case r.URL.Path == "/elsewhere": // it would say yes to everything
	case r.Method != http.MethodPost || id != "the%3Aapi" || secret != "a+secret":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case e.status == http.StatusTemporaryRedirect:
		w.Header().Set("Location", "/elsewhere")
	case r.PostFormValue("token") != e.token:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"active":false}`))
		return
	}
	w.Header().Set("Content-Type", e.media)
	if r.URL.Path != "/elsewhere" {
		w.WriteHeader(e.status)
	}
	if e.body != "" {
		_, _ = w.Write([]byte(e.body))
		return
	}
	_ = json.NewEncoder(w).Encode(e.answer)
}

func (e *endpoint) asking(w *world) {
	w.cfg.Keys = nil
	w.cfg.Introspection = &rp.Introspection{Endpoint: e.URL, ClientID: "the:api", ClientSecret: "a secret"}
}

// A token is what the issuer says of it, held to the same as one that is verified here.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(*endpoint) { return func(e *endpoint) { e.answer[name] = value } }
	for name, c := range map[string]struct {
		change func(*endpoint)
		status int
	}{
		"good":                  {func(*endpoint) {}, 0},
		"not active":            {set("active", false), 401},
		"another token":         {func(e *endpoint) { e.token = "another" }, 401},
		"for another audience":  {set("aud", "https://ledger.bank.example"), 401},
		"for nobody":            {func(e *endpoint) { delete(e.answer, "aud") }, 401},
		"expired":               {set("exp", now.Unix()), 401},
		"without an end":        {func(e *endpoint) { delete(e.answer, "exp") }, 401},
		"of another issuer":     {set("iss", "https://other.example"), 401},
		"bound, and as Bearer":  {set("cnf", map[string]string{"jkt": "abc"}), 401},
		"active by a word":      {set("active", "true"), 503},
		"active not at all":     {func(e *endpoint) { delete(e.answer, "active") }, 503},
		"active twice":          {func(e *endpoint) { e.body = `{"active":true,"active":false}` }, 503},
		"our secret is wrong":   {func(e *endpoint) { e.status = 401 }, 503},
		"a failure":             {func(e *endpoint) { e.status = 500 }, 503},
		"a redirect":            {func(e *endpoint) { e.status = http.StatusTemporaryRedirect }, 503},
		"a page":                {func(e *endpoint) { e.media = "text/html" }, 503},
		"no end of it":          {func(e *endpoint) { e.answer["x"] = strings.Repeat("x", 70<<10) }, 503},
		"nobody answers at all": {func(e *endpoint) { e.Close() }, 503},
	} {
		w, e := newWorld(t), newEndpoint(t)
		e.asking(w)
		c.change(e)
		got, err := w.guard().Check(request("Bearer opaque", ""), rp.Rule{Scopes: []string{"read"}, ACR: []string{"aal2"}})
		switch c.status {
		case 0:
			if err != nil || got.Subject != "jane" || got.Client != "app" {
				t.Errorf("%s: %+v %v", name, got, err)
			}
		case 401:
			refused(t, err, 401, "invalid_token")
		default:
			refused(t, err, 503, "temporarily_unavailable")
		}
	}
}

// An answer is believed as long as it is said, and no longer than the token lives.
func TestIntrospectionIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remember  int
		believed  time.Duration
		lives     time.Duration
		after     time.Duration
		wantAsked int
	}{
		{0, time.Minute, time.Hour, 0, 2},
		{4, 0, time.Hour, 0, 2},
		{4, time.Minute, time.Hour, 59 * time.Second, 1},
		{4, time.Minute, time.Hour, time.Minute, 2},
		{4, time.Minute, 30 * time.Second, 30 * time.Second, 2},
	} {
		w, e, at := newWorld(t), newEndpoint(t), now
		e.asking(w)
		e.answer["exp"] = now.Add(c.lives).Unix()
		w.cfg.Remember, w.cfg.Introspection.For, w.cfg.Now = c.remember, c.believed, func() time.Time { return at }
		g := w.guard()
		if _, err := g.Check(request("Bearer opaque", ""), rp.Rule{}); err != nil {
			t.Fatal(err)
		}
		at = at.Add(c.after)
		e.answer["active"] = e.asked == 0 // revoked
		_, err := g.Check(request("Bearer opaque", ""), rp.Rule{})
		if e.asked != c.wantAsked || (err == nil) != (c.wantAsked == 1) {
			t.Errorf("%+v: asked %d times, %v", c, e.asked, err)
		}
	}
}

func TestBadIntrospection(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*rp.Config){
		"Keys is required":         func(c *rp.Config) { c.Keys = newWorld(t) }, // both
		"not an https address":     func(c *rp.Config) { c.Introspection.Endpoint = "http://id.example/introspect" },
		"ClientSecret are require": func(c *rp.Config) { c.Introspection.ClientSecret = "" },
		"For is out of bounds":     func(c *rp.Config) { c.Introspection.For = -1 },
		"Remember is negative":     func(c *rp.Config) { c.Remember = -1 },
	} {
		w := newWorld(t)
		newEndpoint(t).asking(w)
		change(&w.cfg)
		if _, err := rp.New(w.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
