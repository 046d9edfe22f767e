package httpcall_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/steps/httpcall"
	"github.com/stile-auth/stile/steps/steptest"
)

const secret = "0123456789abcdef0123456789abcdef"

var now = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)

var run = flows.Visit{RunID: "run-1", Flow: "sign-in", StepID: "risk", Turn: 3, Attempt: 2, Now: now, Subject: "jane", Claimed: "jane"}

// load makes a step; with is the inside of its with block, besides the secret.
func load(t testing.TB, c httpcall.Config, with string) (flows.Step, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadRaw(t, c, fmt.Sprintf("{ secret: { file: %q }, %s }", file, with))
}

func loadRaw(t testing.TB, c httpcall.Config, with string) (flows.Step, error) {
	t.Helper()
	r, err := flows.NewRegistry(httpcall.Type(c))
	if err != nil {
		t.Fatal(err)
	}
	text := "flows: { f: { steps: [{ id: risk, type: http_call, with: " + with + " }] } }"
	set, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(text)}}, ".", r)
	if err != nil {
		return nil, err
	}
	return httpcall.Type(c).New(set.Flows["f"].Steps[0].With)
}

// service is a web service on this machine, reached over http.
func service(t testing.TB, h http.HandlerFunc) (with string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return fmt.Sprintf("url: %q, insecure_loopback: true", s.URL+"/decide?way=in")
}

func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

// enter returns "done", the exit, or the error of a call.
func enter(t testing.TB, s flows.Step) (string, error) {
	t.Helper()
	out, err := s.Enter(t.Context(), flows.NewVisit(run, "owner", nil))
	switch {
	case out.Passed() != nil || out.Asked() != nil:
		t.Errorf("proves or asks: %+v", out)
	case out.IsDone():
		return "done", err
	}
	return out.Exited(), err
}

// wantUnavailable: nobody gets past the step, and the client is not blamed.
func wantUnavailable(t testing.TB, what string, s flows.Step) error {
	t.Helper()
	got, err := enter(t, s)
	if got != "" || !errors.Is(err, flows.ErrUnavailable) || errors.Is(err, flows.ErrMalformed) {
		t.Errorf("%s: %q, %v; want ErrUnavailable", what, got, err)
	}
	return err
}

// The checks of prompts and answers are for steps that ask.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, check := range steptest.Checks() {
		if check.Name != "documented" && check.Name != "unknown configuration is refused" {
			continue
		}
		c := steptest.Case{Type: httpcall.Type(httpcall.Config{}), With: `{ url: "https://risk.bank.example", secret: { env: RISK } }`}
		if err := check.Run(t.Context(), c); err != nil {
			t.Errorf("%s: %v", check.Name, err)
		}
	}
}

func TestQuestion(t *testing.T) {
	t.Parallel()
	var body, sign string
	var head http.Header
	with := service(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		body, sign, head = r.Method+" "+r.RequestURI+" "+string(data), r.Header.Get("Stile-Signature"), r.Header
		answering(`{"outcome":"ok"}`)(w, r)
	})
	s, err := load(t, httpcall.Config{}, with)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := enter(t, s); got != "done" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	const json = `{"run":"run-1","step":"risk","visit":2,"flow":"sign-in","subject":"jane","time":"2026-03-01T12:00:00.0000005Z"}`
	if body != "POST /decide?way=in "+json {
		t.Errorf("sent %s", body)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("1772366400." + json))
	if want := "t=1772366400,v1=" + hex.EncodeToString(mac.Sum(nil)); sign != want {
		t.Errorf("signature %s, want %s", sign, want)
	}
	if head.Get("Content-Type") != "application/json" || head.Get("Cookie")+head.Get("Authorization")+head.Get("Accept-Encoding") != "" {
		t.Errorf("headers %v", head)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ answer, want string }{
		{`{"outcome":"ok"}`, "done"},
		{" {\"outcome\" : \"refused\"}\n", "refused"},
		{`{"outcome":"review"}`, "review"},
	} {
		s, err := load(t, httpcall.Config{}, "outcomes: [refused, review], "+service(t, answering(row.answer)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := enter(t, s); got != row.want || err != nil {
			t.Errorf("%s: %q, %v; want %s", row.answer, got, err, row.want)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "{}", "null", "[]", `"ok"`, `{"outcome":"challenge"}`, `{"outcome":"OK"}`, `{"outcome":""}`, `{"outcome":null}`,
		`{"outcome":true}`, `{"outcome":"ok","more":1}`, `{"outcome":"refused","outcome":"ok"}`, `{"Outcome":"ok"}`,
		`{"outcome":"ok"}{"outcome":"ok"}`, `{"outcome":"ok"`, "\xef\xbb\xbf" + `{"outcome":"ok"}`,
		`{"outcome":"ok"}` + strings.Repeat(" ", 1<<20),
	} {
		s, err := load(t, httpcall.Config{}, "outcomes: [refused], "+service(t, answering(body)))
		if err != nil {
			t.Fatal(err)
		}
		wantUnavailable(t, fmt.Sprintf("%.60q", body), s)
	}
}

func TestBadResponses(t *testing.T) {
	t.Parallel()
	ok := answering(`{"outcome":"ok"}`)
	var followed atomic.Bool
	for name, h := range map[string]http.HandlerFunc{
		"no content type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, `{"outcome":"ok"}`)
		},
		"text": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"outcome":"ok"}`) },
		"error": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"outcome":"ok"}`)
		},
		"created": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"outcome":"ok"}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				followed.Store(true)
				ok(w, r)
				return
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"half": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"outcome":"ok"}`)
		},
		"huge header": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Huge", strings.Repeat("x", 128<<10))
			ok(w, r)
		},
	} {
		s, err := load(t, httpcall.Config{}, service(t, h))
		if err != nil {
			t.Fatal(err)
		}
		wantUnavailable(t, name, s)
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	with := service(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // only then a connection that is given up is noticed
		select {
		case <-time.After(3 * time.Second): // nobody waits so long
			answering(`{"outcome":"ok"}`)(w, r)
		case <-r.Context().Done():
		}
	})
	s, err := load(t, httpcall.Config{}, "timeout: 50ms, "+with)
	if err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, "slow service", s)
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	s, err := load(t, httpcall.Config{}, fmt.Sprintf("url: %q, insecure_loopback: true", gone.URL+"/?token=hidden"))
	if err != nil {
		t.Fatal(err)
	}
	if err := wantUnavailable(t, "gone", s); err != nil && (strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), secret)) {
		t.Errorf("the error tells too much: %v", err)
	}
}

// A call that cannot be signed is not made.
func TestSecrets(t *testing.T) {
	t.Parallel()
	env := func(name string) string {
		return map[string]string{"STILE_TEST_RISK": secret, "STILE_TEST_SHORT": secret[:31]}[name]
	}
	asked := 0
	with := service(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		answering(`{"outcome":"ok"}`)(w, r)
	})
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, []byte(strings.Repeat("x", 1<<17)), 0o600); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]bool{
		"env: STILE_TEST_RISK": true, "env: STILE_TEST_SHORT": false, "env: STILE_TEST_NOT_SET": false,
		"file: /nowhere/secret": false, "file: " + large: false, "file: /": false,
	} {
		s, err := loadRaw(t, httpcall.Config{Env: env}, "{ secret: { "+from+" }, "+with+" }")
		if err != nil {
			t.Fatal(err)
		}
		before := asked
		if got, err := enter(t, s); (got == "done") != want || (err == nil) != want || (asked > before) != want {
			t.Errorf("%s: %q, %v, asked %v", from, got, err, asked > before)
		}
	}
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	const good = `url: "https://risk.bank.example"`
	for _, with := range []string{
		"{}", "{ " + good + " }", "{ " + good + ", secret: hunter2 }", "{ " + good + ", secret: {} }",
		"{ " + good + ", secret: { env: A, file: B } }", "{ " + good + ", secret: { env: A }, timeout: 11s }",
		"{ " + good + ", secret: { env: A }, timeout: 0s }", "{ " + good + ", secret: { env: A }, outcomes: [ok] }",
		"{ " + good + ", secret: { env: A }, outcomes: [maybe] }", "{ " + good + ", secret: { env: A }, outcomes: [review, review] }",
		"{ " + good + ", secret: { env: A }, insecure_loopback: true }", "{ " + good + ", secret: { env: A }, ok: 'x == 1' }",
	} {
		if _, err := loadRaw(t, httpcall.Config{}, with); !errors.As(err, new(flowdefs.Problems)) {
			t.Errorf("%s: %v", with, err)
		}
	}
}

func TestItNeverAsks(t *testing.T) {
	t.Parallel()
	s, err := load(t, httpcall.Config{}, `url: "https://risk.bank.example"`)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Answer(t.Context(), flows.NewVisit(run, "owner", nil), flows.Input("{}")); err == nil {
		t.Errorf("answered: %+v", out)
	}
}

// names is a resolver: each look-up of any name takes the next list.
func names(lists ...[]string) func(context.Context, string) ([]netip.Addr, error) {
	var calls atomic.Int32
	return func(context.Context, string) ([]netip.Addr, error) {
		var out []netip.Addr
		for _, text := range lists[min(int(calls.Add(1)), len(lists))-1] {
			out = append(out, netip.MustParseAddr(text))
		}
		return out, nil
	}
}

// secure is a service behind TLS and the name risk.bank.example.
func secure(t testing.TB) (c httpcall.Config, with string) {
	t.Helper()
	s := httptest.NewUnstartedServer(answering(`{"outcome":"ok"}`))
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Roots = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return c, fmt.Sprintf(`url: "https://example.com:%s/"`, u.Port()) // the name in the certificate of httptest
}
