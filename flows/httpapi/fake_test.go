package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/httpapi"
)

// TestMain finds goroutines that are left. net/http lingers half a second on
// every connection that it closes early.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const base = "https://auth.bank.example"

// goodHandle is 32 zero bytes.
var goodHandle = strings.Repeat("A", 43)

// call is what reached the engine.
type call struct {
	Name   string
	Handle string
	Caller flows.Caller
	StepID string
	Turn   int
	Input  string
	Start  flows.StartRequest
}

// fakeEngine answers everything alike.
type fakeEngine struct {
	mu      sync.Mutex
	calls   []call
	refused []string
	view    flows.View
	err     error
	unsound error // of Refuse
	panics  any
	onShow  func() (flows.View, error) // instead of view and err
	cookies []flowdefs.Cookie
	origins []string
	to      *flows.Departure
}

func (e *fakeEngine) take(c call) (flows.View, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, c)
	if e.panics != nil {
		panic(e.panics)
	}
	return e.view, e.err
}

func (e *fakeEngine) Start(_ context.Context, c flows.Caller, r flows.StartRequest) (flows.View, error) {
	return e.take(call{Name: "start", Caller: c, Start: r})
}

func (e *fakeEngine) Standing(_ context.Context, h flows.Secret, c flows.Caller) *flows.View {
	v, err := e.take(call{Name: "standing", Handle: string(h), Caller: c})
	var p *flows.Problem
	switch {
	case errors.As(err, &p):
		return p.View
	case err != nil:
		return nil
	}
	return &v
}

func (e *fakeEngine) Show(_ context.Context, h flows.Secret, c flows.Caller) (flows.View, error) {
	v, err := e.take(call{Name: "show", Handle: string(h), Caller: c})
	if e.onShow != nil {
		return e.onShow()
	}
	return v, err
}

func (e *fakeEngine) Answer(_ context.Context, h flows.Secret, c flows.Caller, stepID string, turn int, in flows.Input) (flows.View, error) {
	return e.take(call{Name: "answer", Handle: string(h), Caller: c, StepID: stepID, Turn: turn, Input: string(in)})
}

func (e *fakeEngine) Back(_ context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error) {
	return e.take(call{Name: "back", Handle: string(h), Caller: c, Turn: turn})
}

func (e *fakeEngine) Resend(_ context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error) {
	return e.take(call{Name: "resend", Handle: string(h), Caller: c, Turn: turn})
}

func (e *fakeEngine) Restart(_ context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error) {
	return e.take(call{Name: "restart", Handle: string(h), Caller: c, Turn: turn})
}

func (e *fakeEngine) HandOver(_ context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error) {
	return e.take(call{Name: "hand over", Handle: string(h), Caller: c, Turn: turn})
}

func (e *fakeEngine) Cancel(_ context.Context, h flows.Secret, c flows.Caller) (flows.View, error) {
	return e.take(call{Name: "cancel", Handle: string(h), Caller: c})
}

func (e *fakeEngine) Activate(_ context.Context, h flows.Secret, c flows.Caller, turn int, in flows.Input) (flows.View, error) {
	return e.take(call{Name: "activate", Handle: string(h), Caller: c, Turn: turn, Input: string(in)})
}

func (e *fakeEngine) SignOut(_ context.Context, session flows.Secret, c flows.Caller) (*flows.Departure, error) {
	_, err := e.take(call{Name: "sign out", Handle: string(session), Caller: c})
	return e.to, err
}

func (e *fakeEngine) Refuse(ctx context.Context, _ flows.Caller, code string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused = append(e.refused, code)
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.unsound
}

func (e *fakeEngine) Cookies(string) []flowdefs.Cookie { return e.cookies }
func (e *fakeEngine) Origins() []string                { return e.origins }

// fakeProofs takes every proof as its own thumbprint.
type fakeProofs struct {
	mu   sync.Mutex
	seen []string // "METHOD URL"
	err  error
}

func (p *fakeProofs) Verify(_ context.Context, headers []string, method, url, _ string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, method+" "+url)
	return headers[0], p.err
}

// world is one API and everything around it.
type world struct {
	http.Handler
	engine *fakeEngine
	proofs *fakeProofs
	log    *logBook
}

func newWorld(t testing.TB, change ...func(*httpapi.Config)) *world {
	t.Helper()
	w := &world{engine: &fakeEngine{view: view()}, proofs: &fakeProofs{}, log: &logBook{}}
	cfg := httpapi.Config{
		Engine: w.engine, DPoP: w.proofs, BaseURL: base, Logger: w.log.logger(),
		Now: time.Now, Metrics: prometheus.NewRegistry(),
	}
	for _, f := range change {
		f(&cfg)
	}
	h, err := httpapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h
	return w
}

// hasty lets nobody wait: what should be refused, and is not, ends at once.
func hasty(c *httpapi.Config) {
	closed := make(chan struct{})
	close(closed)
	c.Closing = closed
}

func view() flows.View {
	return flows.View{
		Flow:      flows.FlowView{ID: "run-1", Name: "mobile-banking", Status: flows.InProgress, Turn: 2},
		Handle:    "new-handle",
		NextStep:  &flows.NextStep{Type: "PIN_REQUIRED", StepID: "pin", Data: map[string]any{}, Actions: []flows.Action{}},
		Assurance: flows.AssuranceView{AMR: []string{}},
	}
}

// logBook keeps every line in JSON.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) Sync() error { return nil }

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBook) logger() *zap.Logger {
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, l, zapcore.DebugLevel))
}

func (l *logBook) lines(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("a log line is not JSON: %q", line)
		}
		out = append(out, m)
	}
	return out
}

// send sends one request; header lists names and values in turns, a value of
// "-" removes the header.
func (w *world) send(t testing.TB, method, target, body string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header.Set("Authorization", "Flow "+goodHandle)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Del(header[i])
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "-" {
			r.Header.Add(header[i], header[i+1])
		}
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result()
}

func text(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func members(t testing.TB, r *http.Response) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text(t, r)), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
