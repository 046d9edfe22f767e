package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
)

func TestCallsReachTheEngine(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 22)
	age := 5 * time.Minute
	all := `{"clientId":"c","target":"t","acrValues":["aal2"],"maxAge":300,"loginHint":"jane","locale":"de","capabilities":["PIN_REQUIRED"],"session":"s","activate":["stay"]}`
	tests := []struct {
		method, target, body string
		status               int
		want                 call
	}{
		{"POST", "/v1/flows", all, 201, call{Name: "start", Start: flows.StartRequest{
			ClientID: "c", Target: "t", ACRValues: []string{"aal2"}, MaxAge: &age, LoginHint: "jane",
			Locale: "de", Capabilities: []string{"PIN_REQUIRED"}, Session: "s", Activate: []string{"stay"},
		}}},
		{"POST", "/v1/flows", `{"clientId":"c","flow":"f"}`, 201, call{Name: "start", Start: flows.StartRequest{ClientID: "c", Flow: "f"}}},
		{"GET", "/v1/flow", "", 200, call{Name: "show", Handle: goodHandle}},
		{"DELETE", "/v1/flow", "", 200, call{Name: "cancel", Handle: goodHandle}},
		{"POST", "/v1/flow/steps/second-factor?turn=12", `{"code":"1"}`, 200, call{Name: "answer", Handle: goodHandle, StepID: "second-factor", Turn: 12, Input: `{"code":"1"}`}},
		{"POST", "/v1/flow/back?turn=1", "", 200, call{Name: "back", Handle: goodHandle, Turn: 1}},
		{"POST", "/v1/flow/back?turn=999999999", " {} ", 200, call{Name: "back", Handle: goodHandle, Turn: 999999999}},
		{"POST", "/v1/flow/activate?turn=4", `{"step":"stay"}`, 200, call{Name: "activate", Handle: goodHandle, Turn: 4, Input: `{"step":"stay"}`}},
		{"POST", "/v1/flow/resend?turn=5", "{}", 200, call{Name: "resend", Handle: goodHandle, Turn: 5}},
		{"POST", "/v1/flow/restart?turn=3", "", 201, call{Name: "restart", Handle: goodHandle, Turn: 3}},
		{"POST", "/v1/flow/restart?turn=3", "{}", 201, call{Name: "restart", Handle: goodHandle, Turn: 3}},
	}
	for _, tt := range tests {
		w := newWorld(t)
		r := w.send(t, tt.method, tt.target, tt.body, "Idempotency-Key", key, "DPoP", "thumb")
		if r.StatusCode != tt.status || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, r.StatusCode, text(t, r))
			continue
		}
		tt.want.Caller = flows.Caller{Key: "thumb", IdempotencyKey: key, RequestID: r.Header.Get("X-Request-Id"), Network: "192.0.2.0/24"}
		if diff := cmp.Diff([]call{tt.want}, w.engine.calls, cmpopts.IgnoreFields(flows.Caller{}, "Body")); diff != "" {
			t.Errorf("%s %s:\n%s", tt.method, tt.target, diff)
		}
		path, query, _ := strings.Cut(tt.target, "?")
		if got, want := string(w.engine.calls[0].Caller.Body), tt.method+" "+path+"?"+query+"\n"+tt.body; got != want {
			t.Errorf("%s %s: the idempotency key vouches for %q, want %q", tt.method, tt.target, got, want)
		}
		if diff := cmp.Diff([]string{tt.method + " " + base + path}, w.proofs.seen); diff != "" {
			t.Errorf("%s %s: the proof was checked for:\n%s", tt.method, tt.target, diff)
		}
		var got flows.View
		if err := json.Unmarshal([]byte(text(t, r)), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w.engine.view, got); diff != "" {
			t.Errorf("%s %s answers:\n%s", tt.method, tt.target, diff)
		}
		if len(w.engine.refused) > 0 {
			t.Errorf("%s %s was refused too: %v", tt.method, tt.target, w.engine.refused)
		}
	}
}

// The answer to a sign-out is one and the same, whatever the engine knew of the session.
func TestSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.send(t, "DELETE", "/v1/session", "", "Authorization", "session "+goodHandle, "DPoP", "thumb")
	if r.StatusCode != 204 || text(t, r) != "" || r.Header.Get("Content-Type") != "" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	want := call{Name: "sign out", Handle: goodHandle, Caller: flows.Caller{Key: "thumb", RequestID: r.Header.Get("X-Request-Id"), Network: "192.0.2.0/24"}}
	if diff := cmp.Diff([]call{want}, w.engine.calls, cmpopts.IgnoreFields(flows.Caller{}, "Body")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"DELETE " + base + "/v1/session"}, w.proofs.seen); diff != "" {
		t.Error(diff)
	}
	w.proofs.err = dpop.ErrProof
	if r := w.send(t, "DELETE", "/v1/session", "", "Authorization", "Session "+goodHandle, "DPoP", "x"); r.StatusCode != 400 ||
		members(t, r)["code"] != "invalid_dpop_proof" || len(w.engine.calls) != 1 || len(w.engine.refused) != 1 {
		t.Errorf("a bad proof: %d, %d calls, refused %v", r.StatusCode, len(w.engine.calls), w.engine.refused)
	}
	w.proofs.err, w.engine.err = nil, &flows.Problem{Kind: flows.KindUnavailable, Code: flows.CodeUnavailable}
	if r := w.send(t, "DELETE", "/v1/session", "", "Authorization", "Session "+goodHandle); r.StatusCode != 503 {
		t.Errorf("a session that could not be ended: %d", r.StatusCode)
	}
}

func TestWithoutProofThereIsNoKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.send(t, "GET", "/v1/flow", "")
	if c := w.engine.calls[0].Caller; c.Key != "" || len(w.proofs.seen) != 0 {
		t.Errorf("key %q, proofs %v", c.Key, w.proofs.seen)
	}
}

func TestProblemsHaveTheirStatus(t *testing.T) {
	t.Parallel()
	left, shown := 2, view()
	kinds := map[flows.Kind]int{
		flows.KindMalformed: 400, flows.KindUnauthorized: 401, flows.KindFailed: 403, flows.KindConflict: 409,
		flows.KindFinished: 410, flows.KindRejected: 422, flows.KindThrottled: 429, flows.KindUnavailable: 503,
	}
	for kind, status := range kinds {
		w := newWorld(t)
		w.engine.err = fmt.Errorf("wrapped: %w", &flows.Problem{
			Kind: kind, Code: "some_code", Detail: "A <fixed> sentence.", RetryAfter: 1500 * time.Millisecond,
			AttemptsRemaining: &left, View: &shown, Err: errors.New("internal-cause"),
		})
		r := w.send(t, "GET", "/v1/flow", "")
		if r.StatusCode != status || r.Header.Get("Content-Type") != "application/problem+json" || r.Header.Get("Retry-After") != "2" {
			t.Errorf("kind %d: %d %v", kind, r.StatusCode, r.Header)
		}
		if challenge := r.Header.Get("WWW-Authenticate"); (status == 401) != (challenge != "") {
			t.Errorf("kind %d: WWW-Authenticate %q", kind, challenge)
		}
		want := map[string]any{
			"type": "about:blank", "title": http.StatusText(status), "status": float64(status), "code": "some_code",
			"detail": "A <fixed> sentence.", "retryAfter": float64(2), "attemptsRemaining": float64(2), "handle": "new-handle",
			"flow":      map[string]any{"id": "run-1", "name": "mobile-banking", "status": "in_progress", "turn": float64(2), "expiresAt": "0001-01-01T00:00:00Z"},
			"nextStep":  map[string]any{"type": "PIN_REQUIRED", "stepId": "pin", "data": map[string]any{}, "actions": []any{}},
			"assurance": map[string]any{"acr": nil, "amr": []any{}},
		}
		if diff := cmp.Diff(want, members(t, r)); diff != "" {
			t.Errorf("kind %d:\n%s", kind, diff)
		}
	}
}

func TestProblemWithoutViewIsBare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.err = &flows.Problem{Kind: flows.KindThrottled, Code: flows.CodeThrottled}
	got := members(t, w.send(t, "GET", "/v1/flow", ""))
	want := map[string]any{"type": "about:blank", "title": "Too Many Requests", "status": float64(429), "code": "throttled"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownErrorsShowNothing(t *testing.T) {
	t.Parallel()
	shown := view()
	errs := map[string]error{
		"an error":        errors.New("canary at 10.0.0.1"),
		"internal":        &flows.Problem{Kind: flows.KindInternal, Code: "canary_code", Detail: "canary", View: &shown, Err: errors.New("canary")},
		"an unknown kind": &flows.Problem{Kind: 99, Code: "canary_code", Detail: "canary", View: &shown},
	}
	for name, err := range errs {
		w := newWorld(t)
		w.engine.err = err
		r := w.send(t, "GET", "/v1/flow", "")
		body := text(t, r)
		if r.StatusCode != 500 || !strings.Contains(body, `"code":"internal_error"`) || strings.Contains(body, "canary") || strings.Contains(body, "run-1") {
			t.Errorf("%s: %d %s", name, r.StatusCode, body)
		}
		if !strings.Contains(w.log.String(), "canary") {
			t.Errorf("%s: the cause is not in the log", name)
		}
	}
	w := newWorld(t)
	w.engine.err = fmt.Errorf("store: %w", flows.ErrUnavailable)
	if r := w.send(t, "GET", "/v1/flow", ""); r.StatusCode != 503 || members(t, r)["code"] != "dependency_unavailable" {
		t.Errorf("unavailable: %d", r.StatusCode)
	}
}

func TestViewThatCannotBeEncodedIsACleanFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.view.NextStep.Data = func() {}
	r := w.send(t, "GET", "/v1/flow", "")
	if m := members(t, r); r.StatusCode != 500 || m["code"] != "internal_error" || r.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", r.StatusCode, m)
	}
}
