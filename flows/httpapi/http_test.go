package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/flows/httpapi"
)

func TestOtherMethodsAreRefusedWithAllow(t *testing.T) {
	t.Parallel()
	paths := map[string][]string{
		"/v1/flows": {"POST"}, "/v1/flow": {"DELETE", "GET"}, "/v1/flow/steps/pin": {"POST"}, "/v1/flow/back": {"POST"},
		"/v1/flow/restart": {"POST"}, "/v1/flow/resend": {"POST"}, "/v1/flow/activate": {"POST"}, "/v1/flow/events": {"GET"}, "/v1/session": {"DELETE"}, "/healthz": {"GET"}, "/readyz": {"GET"}, "/metrics": {"GET"}, "/.well-known/x": {"GET"}, "/openapi.json": {"GET"},
	}
	w := newWorld(t, func(c *httpapi.Config) {
		c.WellKnown = map[string]http.Handler{"/.well-known/x": http.NotFoundHandler()}
	})
	for path, allowed := range paths {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
			if slices.Contains(allowed, method) {
				continue
			}
			r := w.send(t, method, path, "")
			got := strings.Split(r.Header.Get("Allow"), ", ")
			slices.Sort(got)
			if diff := cmp.Diff(allowed, got); r.StatusCode != 405 || diff != "" || members(t, r)["code"] != "method_not_allowed" {
				t.Errorf("%s %s: %d, Allow:\n%s", method, path, r.StatusCode, diff)
			}
		}
	}
	if len(w.engine.calls)+len(w.engine.refused) > 0 {
		t.Errorf("the engine was called: %v %v", w.engine.calls, w.engine.refused)
	}
}

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v1/flow/", "/v1/flows/", "/V1/flow", "/v1//flow", "/v1/./flow", "/v2/flow", "/v1/%66low", "/v1/flow/steps/", "/v1/flow/steps/a/b", "/metrics/", "/debug/pprof/",
	} {
		r := w.send(t, "GET", path, "")
		if m := members(t, r); r.StatusCode != 404 || m["code"] != "not_found" || r.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v", path, r.StatusCode, m)
		}
	}
	if len(w.engine.calls) > 0 {
		t.Errorf("the engine was called: %v", w.engine.calls)
	}
}

func TestEveryAnswerHasTheHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := map[string]bool{}
	for _, c := range [][3]string{
		{"GET", "/v1/flow", ""},
		{"POST", start, `{"clientId":"c","flow":"f"}`},
		{"POST", answer, "x"},
		{"GET", "/nowhere", ""},
		{"PUT", "/v1/flow", ""},
		{"GET", "/healthz", ""},
		{"GET", "/readyz", ""},
		{"GET", "/metrics", ""},
		{"OPTIONS", "/v1/flow", ""},
	} {
		r := w.send(t, c[0], c[1], c[2], "X-Request-Id", "chosen-by-the-client")
		id := r.Header.Get("X-Request-Id")
		if len(id) < 26 || ids[id] {
			t.Errorf("%s %s: request id %q", c[0], c[1], id)
		}
		ids[id] = true
		if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", c[0], c[1], r.Header)
		}
	}
}

func TestOriginsOfClients(t *testing.T) {
	t.Parallel()
	const app = "https://app.bank.example"
	w := newWorld(t)
	w.engine.origins = []string{app, "null", "*"}
	allowed := func(r *http.Response) string { return r.Header.Get("Access-Control-Allow-Origin") }

	r := w.send(t, "GET", "/v1/flow", "", "Origin", app)
	if allowed(r) != app || r.Header.Get("Access-Control-Expose-Headers") != "DPoP-Nonce, Preference-Applied, Retry-After, WWW-Authenticate, X-Request-Id" ||
		r.Header.Get("Vary") != "Origin" || r.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("allowed origin: %v", r.Header)
	}
	pre := []string{"Access-Control-Request-Method", "POST", "Authorization", "-", "Origin"}
	r = w.send(t, "OPTIONS", "/v1/flow/steps/pin", "", append(pre, app)...)
	if r.StatusCode != 204 || text(t, r) != "" || allowed(r) != app || r.Header.Get("Access-Control-Allow-Methods") != "POST" ||
		r.Header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type, DPoP, Idempotency-Key, Prefer" ||
		!slices.Contains(r.Header.Values("Vary"), "Origin") || r.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", r.StatusCode, r.Header)
	}
	for name, origin := range map[string][]string{
		"none": nil, "evil": {"https://evil.example"}, "null": {"null"}, "star": {"*"}, "prefix": {app + ".evil.example"},
		"case": {"https://APP.bank.example"}, "scheme": {"http://app.bank.example"}, "port": {app + ":8443"}, "two": {app, app},
	} {
		var header []string
		for _, o := range origin {
			header = append(header, "Origin", o)
		}
		if r := w.send(t, "GET", "/v1/flow", "", header...); r.StatusCode != 200 || allowed(r) != "" || r.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: %d %v", name, r.StatusCode, r.Header)
		}
		if r := w.send(t, "OPTIONS", "/v1/flow", "", append(header, "Access-Control-Request-Method", "GET")...); r.StatusCode != 405 || allowed(r) != "" {
			t.Errorf("preflight, %s: %d %v", name, r.StatusCode, r.Header)
		}
	}
	for _, path := range []string{"/healthz", "/metrics", "/nowhere"} {
		if r := w.send(t, "GET", path, "", "Origin", app); allowed(r) != "" {
			t.Errorf("%s: %v", path, r.Header)
		}
	}
	if r := w.send(t, "OPTIONS", "/healthz", "", append(pre, app)...); r.StatusCode != 405 {
		t.Errorf("preflight of /healthz: %d", r.StatusCode)
	}
	if r := w.send(t, "OPTIONS", "/v1/flow", "", "Origin", app); r.StatusCode != 405 {
		t.Errorf("OPTIONS that is no preflight: %d", r.StatusCode)
	}
}

func TestAddressesComeFromTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://evil.example/v1/flow", nil)
	for name, value := range map[string]string{
		"Authorization": "Flow " + goodHandle, "DPoP": "thumb", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http",
		"X-Forwarded-For": "203.0.113.9", "Forwarded": "host=evil.example", "X-Original-URL": "/v1/flows", "X-HTTP-Method-Override": "DELETE",
	} {
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if diff := cmp.Diff([]string{"GET " + base + "/v1/flow"}, w.proofs.seen); diff != "" || rec.Code != 200 || w.engine.calls[0].Name != "show" {
		t.Errorf("%d %v\n%s", rec.Code, w.engine.calls, diff)
	}
	if got := rec.Body.String() + w.log.String(); strings.Contains(got, "evil") || strings.Contains(got, "203.0.113.9") {
		t.Errorf("the request's own idea of its address is in an answer or the log: %s", got)
	}
}

func TestOperatorsPaths(t *testing.T) {
	t.Parallel()
	var down error
	w := newWorld(t, func(c *httpapi.Config) {
		c.Ready = map[string]httpapi.Check{
			"store": func(context.Context) error { return down },
			"audit": func(ctx context.Context) error {
				if _, limited := ctx.Deadline(); !limited {
					return errors.New("a check may take for ever")
				}
				return nil
			},
			"keys": func(context.Context) error { return down },
		}
		c.WellKnown = map[string]http.Handler{"/.well-known/jwks.json": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=600")
			_, _ = io.WriteString(w, "keys")
		})}
	})
	if r := w.send(t, "GET", "/healthz", ""); r.StatusCode != 200 || members(t, r)["status"] != "ok" {
		t.Errorf("healthz: %d", r.StatusCode)
	}
	if r := w.send(t, "GET", "/readyz", ""); r.StatusCode != 200 || members(t, r)["status"] != "ready" {
		t.Errorf("readyz: %d", r.StatusCode)
	}
	if r := w.send(t, "GET", "/.well-known/jwks.json", ""); text(t, r) != "keys" || r.Header.Get("Cache-Control") != "public, max-age=600" {
		t.Errorf("well-known: %v", r.Header)
	}
	down = errors.New("postgres at 10.0.0.1: refused")
	r := w.send(t, "GET", "/readyz", "")
	got := text(t, r)
	if r.StatusCode != 503 || !strings.Contains(got, `"code":"dependency_unavailable"`) ||
		!strings.Contains(got, `"dependencies":["keys","store"]`) || strings.Contains(got, "10.0.0.1") {
		t.Errorf("readyz: %d %s", r.StatusCode, got)
	}
	if !strings.Contains(w.log.String(), "10.0.0.1") {
		t.Error("what is not ready is not in the log")
	}
}

// Which definitions are active is said whether or not the rest is ready.
func TestReadySaysWhichDefinitions(t *testing.T) {
	t.Parallel()
	var down error
	d := httpapi.Definitions{Hash: "abc", Since: time.Unix(1, 0).UTC()}
	w := newWorld(t, func(c *httpapi.Config) {
		c.Ready = map[string]httpapi.Check{"store": func(context.Context) error { return down }}
		c.Definitions = func() httpapi.Definitions { return d }
	})
	want := map[string]any{"hash": "abc", "since": "1970-01-01T00:00:01Z"}
	if diff := cmp.Diff(want, members(t, w.send(t, "GET", "/readyz", ""))["definitions"]); diff != "" {
		t.Error(diff)
	}
	down = errors.New("down")
	d.LastFailed = &httpapi.FailedReload{At: time.Unix(2, 0).UTC(), Problems: 3}
	want["lastFailedReload"] = map[string]any{"at": "1970-01-01T00:00:02Z", "problems": 3.0}
	r := w.send(t, "GET", "/readyz", "")
	if diff := cmp.Diff(want, members(t, r)["definitions"]); diff != "" || r.StatusCode != 503 {
		t.Error(r.StatusCode, diff)
	}
}

func TestServerHasLimits(t *testing.T) {
	t.Parallel()
	s, err := httpapi.NewServer("127.0.0.1:0", http.NotFoundHandler(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	got := []time.Duration{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout}
	if diff := cmp.Diff([]time.Duration{5e9, 15e9, 60e9, 60e9}, got); diff != "" || s.MaxHeaderBytes != 16<<10 || s.ErrorLog == nil {
		t.Errorf("%+v", s)
	}
}

// serve starts the API as it is deployed and returns its address.
func serve(t *testing.T, w *world) string {
	t.Helper()
	s, err := httpapi.NewServer("", w, w.log.logger())
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}

// raw sends bytes and returns the status line of every answer until the
// server closes the connection.
func raw(t *testing.T, address, request string) []int {
	t.Helper()
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, request) }() // the server may stop reading
	var statuses []int
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		statuses = append(statuses, r.StatusCode)
	}
}

func TestRequestsOnTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := serve(t, w)
	head := "POST " + answer + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Flow " + goodHandle + "\r\nContent-Type: application/json\r\n"
	chunk := "4000\r\n" + strings.Repeat(" ", 0x4000) + "\r\n"
	tests := map[string]struct {
		request string
		want    []int
	}{
		"good":                  {head + "Content-Length: 2\r\n\r\n{}", []int{200}},
		"chunked":               {head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", []int{200}},
		"too large":             {head + "Content-Length: 10485760\r\n\r\n{", []int{413}},
		"too large and chunked": {head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 40), []int{413}},
		"two lengths":           {head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", []int{400}},
		"bad length":            {head + "Content-Length: +2\r\n\r\n{}", []int{400}},
		"unknown coding":        {head + "Transfer-Encoding: xchunked\r\n\r\n{}", []int{501}},
		"space before colon":    {head + "Content-Length : 2\r\n\r\n{}", []int{400}},
		"control in a header":   {head + "X: a\x00b\r\n\r\n", []int{400}},
		"folded header":         {head + "X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", []int{200}},
		"no host":               {"GET /v1/flow HTTP/1.1\r\n\r\n", []int{400}},
		"endless header":        {head + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", []int{431}},
	}
	for name, tt := range tests {
		if diff := cmp.Diff(tt.want, raw(t, address, tt.request)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestLengthAndChunksTogetherAreOneRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	smuggled := "DELETE /v1/flow HTTP/1.1\r\nHost: x\r\nAuthorization: Flow " + goodHandle + "\r\n\r\n"
	got := raw(t, serve(t, w), "POST "+answer+" HTTP/1.1\r\nHost: x\r\nAuthorization: Flow "+goodHandle+
		"\r\nContent-Type: application/json\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"+smuggled)
	for _, c := range w.engine.calls {
		if c.Name == "cancel" {
			t.Errorf("a second request came out of one connection: %v", got)
		}
	}
}
