package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/httpapi"
)

// moves lets the run move on by the clock.
func moves(steps ...moved) func() (flows.View, error) {
	began := time.Now()
	return func() (flows.View, error) {
		v := view()
		v.Handle = ""
		for _, s := range steps {
			if time.Since(began) < s.after {
				break
			}
			if s.err != nil {
				return flows.View{}, s.err
			}
			v.Flow.Turn = s.turn
			if s.status != "" {
				v.Flow.Status = s.status
			}
		}
		return v, nil
	}
}

type moved struct {
	after  time.Duration
	turn   int
	status flows.Status
	err    error
}

// A GET that waits is answered when turn or status change, and not before,
// else when its time is over.
func TestLongPoll(t *testing.T) {
	t.Parallel()
	const s = time.Second
	gone := &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound}
	ended := view()
	ended.Flow.Status = flows.Cancelled
	tests := map[string]struct {
		prefer  []string
		steps   []moved
		took    time.Duration
		status  int
		turn    float64
		applied string
	}{
		"no preference":     {nil, []moved{{after: s, turn: 3}}, 0, 200, 2, ""},
		"turn":              {[]string{"wait=10"}, []moved{{after: 4 * s, turn: 3}}, 4 * s, 200, 3, "wait=10"},
		"status":            {[]string{"wait=10"}, []moved{{after: 4 * s, turn: 2, status: flows.Completed}}, 4 * s, 200, 2, "wait=10"},
		"nothing":           {[]string{"wait=10"}, []moved{{after: 11 * s, turn: 3}}, 10 * s, 200, 2, "wait=10"},
		"too long":          {[]string{"wait=3600"}, nil, 25 * s, 200, 2, "wait=25"},
		"far too long":      {[]string{"wait=99999999999999999999"}, nil, 25 * s, 200, 2, "wait=25"},
		"none":              {[]string{"wait=0"}, []moved{{after: s, turn: 3}}, 0, 200, 2, ""},
		"no number":         {[]string{"wait=soon"}, nil, 0, 200, 2, ""},
		"negative":          {[]string{"wait=-5"}, nil, 0, 200, 2, ""},
		"no value":          {[]string{"wait"}, nil, 0, 200, 2, ""},
		"quoted":            {[]string{`Wait = "5"`}, nil, 5 * s, 200, 2, "wait=5"},
		"among others":      {[]string{"respond-async; x=1, wait=5; y=2"}, nil, 5 * s, 200, 2, "wait=5"},
		"another header":    {[]string{"respond-async", "wait=5"}, nil, 5 * s, 200, 2, "wait=5"},
		"twice":             {[]string{"wait=5, wait=9", "wait=7"}, nil, 5 * s, 200, 2, "wait=5"},
		"handle is gone":    {[]string{"wait=10"}, []moved{{after: 3 * s, err: gone}}, 3 * s, 404, 0, ""},
		"ended":             {[]string{"wait=10"}, []moved{{after: 3 * s, err: &flows.Problem{Kind: flows.KindFinished, Code: flows.CodeFinished, View: &ended}}}, 3 * s, 410, 0, ""},
		"store is away":     {[]string{"wait=10"}, []moved{{after: 3 * s, err: flows.ErrUnavailable}}, 3 * s, 503, 0, ""},
		"wrong from at all": {[]string{"wait=10"}, []moved{{err: gone}}, 0, 404, 0, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.engine.onShow = moves(tt.steps...)
				began := time.Now()
				var header []string
				for _, p := range tt.prefer {
					header = append(header, "Prefer", p)
				}
				r := w.send(t, "GET", "/v1/flow", "", append(header, "DPoP", "thumb")...)
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
				if r.StatusCode != tt.status || r.Header.Get("Preference-Applied") != tt.applied {
					t.Errorf("%d, applied %q", r.StatusCode, r.Header.Get("Preference-Applied"))
				}
				if flow, _ := members(t, r)["flow"].(map[string]any); tt.turn != 0 && flow["turn"] != tt.turn {
					t.Errorf("turn %v, want %v", flow["turn"], tt.turn)
				}
				looks := int(tt.took/(250*time.Millisecond)) + 1
				if n := len(w.engine.calls); n != looks && n != looks-1 { // at the end both timers fire
					t.Errorf("%d calls, want %d", n, looks)
				}
				for _, c := range w.engine.calls {
					if c.Name != "show" || c.Handle != goodHandle || c.Caller.Key != "thumb" {
						t.Fatalf("a look without handle or key: %+v", c)
					}
				}
				if n := len(w.proofs.seen); n != 1 {
					t.Errorf("the proof was used %d times", n)
				}
			})
		})
	}
}

func TestOtherCallsDoNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		for _, c := range [][3]string{{"POST", answer, "{}"}, {"DELETE", "/v1/flow", ""}, {"POST", start, `{"clientId":"c","flow":"f"}`}} {
			if r := w.send(t, c[0], c[1], c[2], "Prefer", "wait=9"); r.StatusCode/100 != 2 || r.Header.Get("Preference-Applied") != "" {
				t.Errorf("%v: %d %v", c, r.StatusCode, r.Header)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("took %s", took)
		}
	})
}

// A wait ends with its request and with the server; a call that waited does not
// count as a slow one.
func TestWaitingEndsEarly(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/v1/flow", "/v1/flow/events"} {
		for name, end := range map[string]func(cancel func(), closing chan struct{}){
			"client": func(cancel func(), _ chan struct{}) { cancel() },
			"server": func(_ func(), closing chan struct{}) { close(closing) },
		} {
			t.Run(target+" "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					closing, registry := make(chan struct{}), prometheus.NewRegistry()
					w := newWorld(t, func(c *httpapi.Config) { c.Closing, c.Metrics, c.Poll = closing, registry, time.Second })
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					time.AfterFunc(2500*time.Millisecond, func() { end(cancel, closing) })
					began := time.Now()
					r := httptest.NewRequestWithContext(ctx, "GET", target, nil)
					r.Header.Set("Authorization", "Flow "+goodHandle)
					r.Header.Set("Prefer", "wait=20")
					rec := httptest.NewRecorder()
					w.ServeHTTP(rec, r)
					if took := time.Since(began); took != 2500*time.Millisecond || rec.Code != 200 {
						t.Errorf("%d after %s", rec.Code, took)
					}
					if n := len(w.engine.calls); n != 3 {
						t.Errorf("%d calls", n)
					}
					got := text(t, w.send(t, "GET", "/metrics", ""))
					if !strings.Contains(got, `stile_http_requests_total{method="GET",route="`+target+`",status="2xx"} 1`) ||
						strings.Contains(got, `stile_http_request_duration_seconds_count{route="`+target+`"}`) {
						t.Error("the wait is not counted, or counts as a duration")
					}
				})
			})
		}
	}
}

// sent says what a stream said: "view in_progress", "problem flow_not_found", ":" for a heartbeat.
func sent(t *testing.T, body string) []string {
	t.Helper()
	var out []string
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name, data, ok := strings.Cut(event, "\ndata: ")
		switch {
		case event == ":":
			out = append(out, ":")
			continue
		case !ok || strings.Contains(data, "\n"):
			t.Fatalf("%q is no event of one line", event)
		}
		m := members(t, &http.Response{Body: readCloser{strings.NewReader(data)}})
		flow, _ := m["flow"].(map[string]any)
		if flow == nil {
			flow = map[string]any{"status": m["code"]}
		}
		out = append(out, strings.TrimPrefix(name, "event: ")+" "+flow["status"].(string))
	}
	return out
}

func TestEvents(t *testing.T) {
	t.Parallel()
	const s = time.Second
	cancelled := view()
	cancelled.Handle, cancelled.Flow.Status = "", flows.Cancelled
	tests := map[string]struct {
		steps []moved
		took  time.Duration
		want  []string
	}{
		"ends with the run": {
			[]moved{{after: 2 * s, turn: 3}, {after: 3 * s, turn: 3, status: flows.Completed}},
			3 * s,
			[]string{"view in_progress", "view in_progress", "view completed"},
		},
		"ends with a finished run": {
			[]moved{{after: 16 * s, err: &flows.Problem{Kind: flows.KindFinished, Code: flows.CodeFinished, View: &cancelled}}},
			16 * s,
			[]string{"view in_progress", ":", "view cancelled"},
		},
		"ends with the handle": {
			[]moved{{after: s, err: &flows.Problem{Kind: flows.KindNotFound, Code: "expired", View: &cancelled}}},
			s,
			[]string{"view in_progress", "problem flow_not_found"},
		},
		"ends with the store": {
			[]moved{{after: s, err: errors.Join(flows.ErrUnavailable, errors.New("canary"))}},
			s,
			[]string{"view in_progress", "problem dependency_unavailable"},
		},
		"ends by and by": {nil, 5 * time.Minute, append([]string{"view in_progress"}, beats(20)...)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.engine.onShow = moves(tt.steps...)
				began := time.Now()
				r := w.send(t, "GET", "/v1/flow/events", "", "DPoP", "thumb")
				if took := time.Since(began); took != tt.took || r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/event-stream" {
					t.Errorf("%d %v after %s", r.StatusCode, r.Header, took)
				}
				body := text(t, r)
				got := sent(t, body)
				if len(got) == len(tt.want)-1 { // the last beat and the end come at once
					got = append(got, ":")
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				for _, c := range w.engine.calls {
					if c.Handle != goodHandle || c.Caller.Key != "thumb" {
						t.Fatalf("a look without handle or key: %+v", c)
					}
				}
				if strings.Contains(body, "canary") || strings.Contains(w.log.String(), `"level":"error"`) {
					t.Error(body, w.log)
				}
			})
		})
	}
}

func beats(n int) []string { return strings.Split(strings.Repeat(":", n), "")[:n] }

// What is wrong from the start is answered as anywhere else.
func TestEventsOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.err = &flows.Problem{Kind: flows.KindFinished, Code: flows.CodeFinished}
	r := w.send(t, "GET", "/v1/flow/events", "")
	if m := members(t, r); r.StatusCode != 410 || r.Header.Get("Content-Type") != "application/problem+json" || m["code"] != "flow_finished" {
		t.Errorf("%d %v", r.StatusCode, m)
	}
}
