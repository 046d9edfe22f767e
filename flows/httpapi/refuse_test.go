package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
	"github.com/stile-auth/stile/flows/httpapi"
)

const (
	answer = "/v1/flow/steps/pin?turn=2"
	start  = "/v1/flows"
)

func deep(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }

func TestBadRequestsAreRefusedBeforeTheEngine(t *testing.T) {
	t.Parallel()
	const ok = `{"pin":"12345678"}`
	type test struct {
		method, target, body string
		header               []string
		status               int
		code                 string
	}
	tests := map[string]test{
		"empty body":             {"POST", answer, "", []string{"Content-Type", "application/json"}, 400, "invalid_request"},
		"not JSON":               {"POST", answer, "pin=1", nil, 400, "invalid_request"},
		"array":                  {"POST", answer, `[]`, nil, 400, "invalid_request"},
		"string":                 {"POST", answer, `"x"`, nil, 400, "invalid_request"},
		"null":                   {"POST", answer, `null`, nil, 400, "invalid_request"},
		"truncated":              {"POST", answer, `{"pin":"1`, nil, 400, "invalid_request"},
		"duplicate key":          {"POST", answer, `{"pin":"1","pin":"2"}`, nil, 400, "invalid_request"},
		"duplicate escaped":      {"POST", answer, `{"pin":"1","\u0070in":"2"}`, nil, 400, "invalid_request"},
		"duplicate folded":       {"POST", answer, `{"kid":"1","` + "\u212A" + `id":"2"}`, nil, 400, "invalid_request"},
		"duplicate nested":       {"POST", answer, `{"a":[{"b":1,"b":2}]}`, nil, 400, "invalid_request"},
		"two documents":          {"POST", answer, ok + ok, nil, 400, "invalid_request"},
		"trailing text":          {"POST", answer, ok + "x", nil, 400, "invalid_request"},
		"byte order mark":        {"POST", answer, "\uFEFF" + ok, nil, 400, "invalid_request"},
		"NaN":                    {"POST", answer, `{"a":NaN}`, nil, 400, "invalid_request"},
		"not UTF-8":              {"POST", answer, "{\"a\":\"\xff\"}", nil, 400, "invalid_request"},
		"deep":                   {"POST", answer, deep(32), nil, 400, "invalid_request"},
		"very deep":              {"POST", answer, deep(5000), nil, 400, "invalid_request"},
		"too large":              {"POST", answer, `{"a":"` + strings.Repeat("x", 64<<10) + `"}`, nil, 413, "request_too_large"},
		"start: unknown key":     {"POST", start, `{"clientId":"c","flow":"f","loa":3}`, nil, 400, "invalid_request"},
		"start: folded key":      {"POST", start, `{"ClientID":"c","flow":"f"}`, nil, 400, "invalid_request"},
		"start: no client":       {"POST", start, `{"flow":"f"}`, nil, 400, "invalid_request"},
		"start: empty client":    {"POST", start, `{"clientId":"","flow":"f"}`, nil, 400, "invalid_request"},
		"start: flow and target": {"POST", start, `{"clientId":"c","flow":"f","target":"t"}`, nil, 400, "invalid_request"},
		"start: neither":         {"POST", start, `{"clientId":"c"}`, nil, 400, "invalid_request"},
		"start: age string":      {"POST", start, `{"clientId":"c","flow":"f","maxAge":"300"}`, nil, 400, "invalid_request"},
		"start: age fraction":    {"POST", start, `{"clientId":"c","flow":"f","maxAge":1.5}`, nil, 400, "invalid_request"},
		"start: age negative":    {"POST", start, `{"clientId":"c","flow":"f","maxAge":-1}`, nil, 400, "invalid_request"},
		"start: age overflows":   {"POST", start, `{"clientId":"c","flow":"f","maxAge":9223372036854775807}`, nil, 400, "invalid_request"},
		"start: age infinite":    {"POST", start, `{"clientId":"c","flow":"f","maxAge":1e400}`, nil, 400, "invalid_request"},
		"start: empty acr":       {"POST", start, `{"clientId":"c","flow":"f","acrValues":[""]}`, nil, 400, "invalid_request"},
		"start: acr string":      {"POST", start, `{"clientId":"c","flow":"f","acrValues":"aal2"}`, nil, 400, "invalid_request"},
		"start: long name":       {"POST", start, `{"clientId":"` + strings.Repeat("c", 257) + `","flow":"f"}`, nil, 400, "invalid_request"},
		"start: many":            {"POST", start, `{"clientId":"c","flow":"f","capabilities":["A"` + strings.Repeat(`,"A"`, 64) + `]}`, nil, 400, "invalid_request"},
		"start: query":           {"POST", start + "?clientId=x", `{"clientId":"c","flow":"f"}`, nil, 400, "invalid_request"},
		"start: empty step":      {"POST", start, `{"clientId":"c","flow":"f","activate":[""]}`, nil, 400, "invalid_request"},
		"start: many steps":      {"POST", start, `{"clientId":"c","flow":"f","activate":["a"` + strings.Repeat(`,"a"`, 64) + `]}`, nil, 400, "invalid_request"},
		"activate: no body":      {"POST", "/v1/flow/activate?turn=1", "", nil, 415, "unsupported_media_type"},
		"activate: no turn":      {"POST", "/v1/flow/activate", `{"step":"s"}`, nil, 400, "invalid_request"},
		"activate: duplicate":    {"POST", "/v1/flow/activate?turn=1", `{"step":"s","step":"t"}`, nil, 400, "invalid_request"},
		"session: a handle":      {"DELETE", "/v1/session", "", nil, 400, "invalid_request"},
		"session: none":          {"DELETE", "/v1/session", "", []string{"Authorization", "-"}, 400, "invalid_request"},
		"session: short":         {"DELETE", "/v1/session", "", []string{"Authorization", "Session " + goodHandle[1:]}, 400, "invalid_request"},
		"session: twice":         {"DELETE", "/v1/session", "", []string{"Authorization", "Session " + goodHandle, "Authorization", "Session " + goodHandle}, 400, "invalid_request"},
		"session: query":         {"DELETE", "/v1/session?all=1", "", []string{"Authorization", "Session " + goodHandle}, 400, "invalid_request"},
		"session: body":          {"DELETE", "/v1/session", "{}", []string{"Authorization", "Session " + goodHandle}, 400, "invalid_request"},
		"events: query":          {"GET", "/v1/flow/events?turn=1", "", nil, 400, "invalid_request"},
		"events: body":           {"GET", "/v1/flow/events", "{}", nil, 400, "invalid_request"},
		"media: none":            {"POST", answer, ok, []string{"Content-Type", "-"}, 415, "unsupported_media_type"},
		"media: text":            {"POST", answer, ok, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		"media: form":            {"POST", answer, ok, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		"media: multipart":       {"POST", answer, ok, []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, "unsupported_media_type"},
		"media: suffix":          {"POST", answer, ok, []string{"Content-Type", "application/problem+json"}, 415, "unsupported_media_type"},
		"media: charset":         {"POST", answer, ok, []string{"Content-Type", "application/json; charset=utf-16"}, 415, "unsupported_media_type"},
		"media: parameter":       {"POST", answer, ok, []string{"Content-Type", "application/json; profile=x"}, 415, "unsupported_media_type"},
		"media: twice":           {"POST", answer, ok, []string{"Content-Type", "application/json", "Content-Type", "application/json"}, 415, "unsupported_media_type"},
		"media: compressed":      {"POST", answer, ok, []string{"Content-Encoding", "gzip"}, 415, "unsupported_media_type"},
		"media: start":           {"POST", start, `{"clientId":"c","flow":"f"}`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		"media: back":            {"POST", "/v1/flow/back?turn=1", "{}", []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		"turn: none":             {"POST", "/v1/flow/steps/pin", ok, nil, 400, "invalid_request"},
		"turn: empty":            {"POST", "/v1/flow/steps/pin?turn=", ok, nil, 400, "invalid_request"},
		"turn: zero":             {"POST", "/v1/flow/steps/pin?turn=0", ok, nil, 400, "invalid_request"},
		"turn: leading zero":     {"POST", "/v1/flow/steps/pin?turn=02", ok, nil, 400, "invalid_request"},
		"turn: negative":         {"POST", "/v1/flow/steps/pin?turn=-2", ok, nil, 400, "invalid_request"},
		"turn: plus":             {"POST", "/v1/flow/steps/pin?turn=%2B2", ok, nil, 400, "invalid_request"},
		"turn: hexadecimal":      {"POST", "/v1/flow/steps/pin?turn=0x2", ok, nil, 400, "invalid_request"},
		"turn: huge":             {"POST", "/v1/flow/steps/pin?turn=1000000000", ok, nil, 400, "invalid_request"},
		"turn: twice":            {"POST", "/v1/flow/steps/pin?turn=2&turn=2", ok, nil, 400, "invalid_request"},
		"turn: escaped":          {"POST", "/v1/flow/steps/pin?%74urn=2", ok, nil, 400, "invalid_request"},
		"turn: another":          {"POST", "/v1/flow/steps/pin?turn=2&flow=low", ok, nil, 400, "invalid_request"},
		"turn: back without":     {"POST", "/v1/flow/back", "", nil, 400, "invalid_request"},
		"query on show":          {"GET", "/v1/flow?turn=1", "", nil, 400, "invalid_request"},
		"turn: restart without":  {"POST", "/v1/flow/restart", "", nil, 400, "invalid_request"},
		"body on show":           {"GET", "/v1/flow", "{}", nil, 400, "invalid_request"},
		"body on cancel":         {"DELETE", "/v1/flow", "{}", nil, 400, "invalid_request"},
		"member on back":         {"POST", "/v1/flow/back?turn=1", `{"to":"pin"}`, nil, 400, "invalid_request"},
		"array on restart":       {"POST", "/v1/flow/restart?turn=1", `[]`, nil, 400, "invalid_request"},
		"key: short":             {"POST", answer, ok, []string{"Idempotency-Key", strings.Repeat("k", 21)}, 400, "invalid_request"},
		"key: long":              {"POST", answer, ok, []string{"Idempotency-Key", strings.Repeat("k", 129)}, 400, "invalid_request"},
		"key: characters":        {"POST", answer, ok, []string{"Idempotency-Key", strings.Repeat("k", 22) + "/"}, 400, "invalid_request"},
		"key: empty":             {"POST", answer, ok, []string{"Idempotency-Key", ""}, 400, "invalid_request"},
		"key: twice":             {"POST", answer, ok, []string{"Idempotency-Key", strings.Repeat("k", 22), "Idempotency-Key", strings.Repeat("k", 22)}, 400, "invalid_request"},
		"key: at start":          {"POST", start, `{"clientId":"c","flow":"f"}`, []string{"Idempotency-Key", "1"}, 400, "invalid_request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hasty)
			r := w.send(t, tt.method, tt.target, tt.body, tt.header...)
			m := members(t, r)
			if r.StatusCode != tt.status || m["code"] != tt.code || m["status"] != float64(tt.status) || m["detail"] == "" {
				t.Errorf("%d %v, want %d %s", r.StatusCode, m, tt.status, tt.code)
			}
			var want []string // whose handle is right is told where the run stands, and nothing else is done
			if strings.HasPrefix(tt.target, "/v1/flow/") || tt.target == "/v1/flow" || strings.HasPrefix(tt.target, "/v1/flow?") {
				want = []string{"standing"}
			}
			var calls []string
			for _, c := range w.engine.calls {
				calls = append(calls, c.Name)
			}
			if diff := cmp.Diff(want, calls); diff != "" || (m["flow"] != nil) != (want != nil) {
				t.Errorf("%v, the engine was called:\n%s", m, diff)
			}
			if diff := cmp.Diff([]string{tt.code}, w.engine.refused); diff != "" {
				t.Errorf("recorded:\n%s", diff)
			}
		})
	}
}

func TestWhatIsJustGoodEnough(t *testing.T) {
	t.Parallel()
	for name, header := range map[string][]string{
		"charset":         {"Content-Type", "application/json; charset=utf-8"},
		"charset in caps": {"Content-Type", `Application/JSON;charset="UTF-8"`},
		"shortest key":    {"Idempotency-Key", strings.Repeat("-", 22)},
		"longest key":     {"Idempotency-Key", strings.Repeat("Z", 128)},
		"scheme in caps":  {"Authorization", "FLOW " + goodHandle},
		"untrusted id":    {"X-Request-Id", "x"},
		"preference":      {"Prefer", "wait=25"},
	} {
		w := newWorld(t)
		if r := w.send(t, "POST", answer, deep(31), header...); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, r.StatusCode, text(t, r))
		}
	}
	w := newWorld(t)
	body := `{"a":"` + strings.Repeat("x", 64<<10-8) + `"}`
	if r := w.send(t, "POST", answer, body); r.StatusCode != 200 || len(body) != 64<<10 {
		t.Errorf("%d bytes: %d", len(body), r.StatusCode)
	}
}

// A request that is refused for its form tells nothing about a run to whom the
// run does not belong: no handle, a wrong one, no good proof.
func TestRefusedStrangersSeeNoRun(t *testing.T) {
	t.Parallel()
	shown := view()
	tests := map[string]struct {
		header []string
		engine error
		proof  error
		calls  int
	}{
		"no proof that is good": {[]string{"DPoP", "x"}, nil, dpop.ErrProof, 0},
		"proof that is used":    {[]string{"DPoP", "x"}, nil, flows.ErrTaken, 0},
		"proof unchecked":       {[]string{"DPoP", "x"}, nil, errors.New("the store is away"), 0},
		"unknown":               {nil, &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound}, nil, 1},
		"away":                  {nil, errors.New("canary"), nil, 1},
	}
	for name, tt := range tests {
		w := newWorld(t)
		w.engine.err, w.proofs.err = tt.engine, tt.proof
		m := members(t, w.send(t, "POST", answer, "x", tt.header...))
		if m["code"] != "invalid_request" || m["flow"] != nil || m["nextStep"] != nil || len(w.engine.calls) != tt.calls {
			t.Errorf("%s: %v after %d calls", name, m, len(w.engine.calls))
		}
	}
	w := newWorld(t)
	w.engine.err = &flows.Problem{Kind: flows.KindFinished, Code: flows.CodeFinished, View: &shown}
	m := members(t, w.send(t, "POST", answer, "x", "DPoP", "thumb"))
	if m["code"] != "invalid_request" || m["flow"] == nil || w.engine.calls[0].Caller.Key != "thumb" {
		t.Errorf("finished: %v", m)
	}
}

func TestEveryWrongHandleHasOneAnswer(t *testing.T) {
	t.Parallel()
	left, shown := 1, view()
	type test struct {
		header []string
		engine error // what the engine says, if it is asked
		proof  error
	}
	tests := map[string]test{
		"no header":           {header: []string{"Authorization", "-"}},
		"empty":               {header: []string{"Authorization", ""}},
		"no token":            {header: []string{"Authorization", "Flow"}},
		"empty token":         {header: []string{"Authorization", "Flow "}},
		"a session":           {header: []string{"Authorization", "Session " + goodHandle}},
		"another scheme":      {header: []string{"Authorization", "Bearer " + goodHandle}},
		"two headers":         {header: []string{"Authorization", "Flow " + goodHandle, "Authorization", "Flow " + goodHandle}},
		"two schemes":         {header: []string{"Authorization", "Bearer x", "Authorization", "Flow " + goodHandle}},
		"two spaces":          {header: []string{"Authorization", "Flow  " + goodHandle}},
		"short":               {header: []string{"Authorization", "Flow " + goodHandle[1:]}},
		"long":                {header: []string{"Authorization", "Flow " + goodHandle + "A"}},
		"padded":              {header: []string{"Authorization", "Flow " + goodHandle + "="}},
		"not canonical":       {header: []string{"Authorization", "Flow " + goodHandle[1:] + "B"}},
		"alphabet":            {header: []string{"Authorization", "Flow " + goodHandle[1:] + "+"}},
		"line break":          {header: []string{"Authorization", "Flow " + goodHandle[1:] + "\n"}},
		"list":                {header: []string{"Authorization", "Flow " + goodHandle + ", Flow " + goodHandle}},
		"unknown":             {engine: &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound, Detail: "No such flow."}},
		"told too much":       {engine: &flows.Problem{Kind: flows.KindNotFound, Code: "expired", Detail: "Expired.", RetryAfter: 9e9, AttemptsRemaining: &left, View: &shown}},
		"wrong proof":         {header: []string{"DPoP", "x"}, proof: fmt.Errorf("%w: canary", dpop.ErrProof)},
		"used proof":          {header: []string{"DPoP", "x"}, proof: dpop.ErrReplayed},
		"proof taken already": {header: []string{"DPoP", "x"}, proof: fmt.Errorf("mark: %w", flows.ErrTaken)},
	}
	const want = `{"type":"about:blank","title":"Not Found","status":404,"code":"flow_not_found","detail":"There is no such flow."}` + "\n"
	calls := []struct{ method, target, body string }{
		{"GET", "/v1/flow", ""},
		{"DELETE", "/v1/flow", ""},
		{"POST", answer, `{"pin":"1"}`},
		{"POST", "/v1/flow/back?turn=1", ""},
		{"POST", "/v1/flow/activate?turn=1", `{"step":"s"}`},
		{"GET", "/v1/flow/events", ""},
		{"POST", "/v1/flow/restart?turn=1", ""},
	}
	var first http.Header
	for name, tt := range tests {
		for _, c := range calls {
			w := newWorld(t, hasty)
			w.engine.err, w.proofs.err = tt.engine, tt.proof
			r := w.send(t, c.method, c.target, c.body, tt.header...)
			if got := text(t, r); r.StatusCode != 404 || got != want {
				t.Errorf("%s, %s %s: %d %s", name, c.method, c.target, r.StatusCode, got)
			}
			r.Header.Del("X-Request-Id")
			if first == nil {
				first = r.Header
			}
			if diff := cmp.Diff(first, r.Header); diff != "" {
				t.Errorf("%s, %s %s: headers differ:\n%s", name, c.method, c.target, diff)
			}
			if asked := tt.engine != nil; len(w.engine.calls) > 0 != asked || len(w.engine.refused) > 0 == asked {
				t.Errorf("%s: engine %v, recorded %v", name, w.engine.calls, w.engine.refused)
			}
		}
	}
}

func TestBadProofAtStart(t *testing.T) {
	t.Parallel()
	const body = `{"clientId":"c","flow":"f"}`
	for _, proof := range []error{dpop.ErrProof, dpop.ErrReplayed, flows.ErrTaken} {
		w := newWorld(t)
		w.proofs.err = fmt.Errorf("%w: canary", proof)
		r := w.send(t, "POST", start, body, "DPoP", "x")
		got := text(t, r)
		if r.StatusCode != 400 || !strings.Contains(got, `"code":"invalid_dpop_proof"`) || strings.Contains(got, "canary") {
			t.Errorf("%d %s", r.StatusCode, got)
		}
		if diff := cmp.Diff([]string{"invalid_dpop_proof"}, w.engine.refused); diff != "" || len(w.engine.calls) > 0 {
			t.Errorf("recorded, and %d calls:\n%s", len(w.engine.calls), diff)
		}
	}
}

func TestProofThatCannotBeCheckedIsNoProof(t *testing.T) {
	t.Parallel()
	for _, target := range []string{start, answer} {
		w := newWorld(t)
		w.proofs.err = errors.New("the store is away")
		r := w.send(t, "POST", target, `{"clientId":"c","flow":"f"}`, "DPoP", "x")
		if r.StatusCode != 503 || members(t, r)["code"] != "dependency_unavailable" || len(w.engine.calls) > 0 {
			t.Errorf("%s: %d, %d calls", target, r.StatusCode, len(w.engine.calls))
		}
	}
	w := newWorld(t)
	if r := w.send(t, "GET", "/v1/flow", "", "DPoP", ""); r.StatusCode != 500 || len(w.engine.calls) > 0 {
		t.Errorf("a proof without a key: %d, %d calls", r.StatusCode, len(w.engine.calls))
	}
}

func TestRefusalThatCannotBeRecordedIsWithheld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.unsound = errors.New("canary")
	r := w.send(t, "POST", answer, "x")
	if got := text(t, r); r.StatusCode != 503 || strings.Contains(got, "canary") {
		t.Errorf("%d %s", r.StatusCode, got)
	}
}

func TestRefusalIsRecordedThoughTheClientIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/v1/flow", nil))
	if rec.Code != 404 || len(w.engine.refused) != 1 {
		t.Errorf("%d, recorded %v", rec.Code, w.engine.refused)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := httpapi.New(httpapi.Config{
		BaseURL: "https://auth.bank.example/", MaxBody: -1, Poll: -1, Ready: map[string]httpapi.Check{"store": nil}, WellKnown: map[string]http.Handler{"/v1/flow": nil},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"no engine", "no DPoP", "no logger", "no clock", "no metrics", "limit", "interval", "origin", "/v1/flow", "store"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in:\n%v", want, err)
		}
	}
}
