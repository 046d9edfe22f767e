package contract_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// everything has every kind of prompt and of call.
const everything = `
flows:
  sign-on: { steps: [{ id: sso, type: sso, with: { provider: corporate } }] }
  local:
    steps:
      - { id: password, type: password }
      - { id: bind, type: device_enrolment, activate: true }
      - id: factor
        choose:
          - { id: code, type: totp }
          - { id: pin, type: pin, if: device.bound }
          - { id: again, type: password }
  slow:
    timeout: 2m
    steps:
      - { id: news, type: message, with: { text: news }, timeout: 30s, on: { timeout: late } }
      - { id: pause, delay: 10s }
      - { id: two, any: { of: 2, options: [{ id: a, type: message, with: { text: news } }, { id: b, type: password }, { id: c, type: totp }] } }
    handlers: { late: [{ fail: too_late }] }
  strict: { back: false, restart: false, steps: [{ id: password, type: password }, { require: acr >= level.aal2 }] }
  self: { kind: self_service, requires: { acr: aal1 }, steps: [{ id: code, type: totp }] }
targets:
  app: { flow: local, propagate: { type: bearer_jwt, audience: "https://app.bank.example" } }
providers:
  corporate:
    { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }, scopes: [openid],
      assurance: { categories: [knowledge], cap: aal2 } }
clients:
  phone: { flows: [sign-on, local, slow, strict, self], targets: [app], redirect_uris: ["com.bank.app:/oauth2"], hand_over: web }
  web: { flows: [local, slow], redirect_uris: ["https://www.bank.example/"], origins: ["https://www.bank.example"], dpop: optional }
`

// nobody is a secret in form, and of nothing.
const nobody = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// explorer sends what the description says that can be sent.
type explorer struct {
	maker
	p     *phone
	calls []described
}

type described struct {
	method, path string
	operation    map[string]any
}

func callsOf(j *judge) []described {
	var out []described
	paths, _ := j.doc["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		methods, _ := paths[path].(map[string]any)
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			o, _ := methods[method].(map[string]any)
			out = append(out, described{strings.ToUpper(method), path, o})
		}
	}
	return out
}

// step sends one request: the right answer to what is asked, or anything else that is described.
func (e *explorer) step() {
	e.p.w.clock.pass(time.Duration(one(e.maker, []int{100, 100, 100, 100, 100, 100, 1000, 12_000, 31_000}, "ms")) * time.Millisecond)
	next := e.p.view.NextStep
	switch {
	case e.p.view.Flow.Status != "in_progress" && e.chance(60, "start"):
		e.p.handle = ""
		e.call("POST", "/v1/flows", e.body(e.j.operation("POST", "/v1/flows")))
	case next != nil && e.chance(35, "right") && e.canAnswer(next.Type):
		e.call("POST", next.forward(), text(e.t, e.p.right()))
		if next.Type == "DEVICE_ENROLMENT_REQUIRED" {
			e.p.device = e.p.pending
		}
	case next != nil && e.chance(30, "action"):
		a := one(e.maker, next.Actions, "which")
		body := ""
		if a.Method == http.MethodPost {
			path, _, _ := strings.Cut(a.Href, "?")
			body = e.body(e.j.operation(a.Method, path))
		}
		e.call(a.Method, a.Href, body)
	default:
		e.any(one(e.maker, e.calls, "call"))
	}
}

// canAnswer: what needs a browser is left to other tests, and a phone that is
// not bound cannot sign.
func (e *explorer) canAnswer(code string) bool {
	switch code {
	case "WAIT_REQUIRED", "WEB_HANDOVER_REQUIRED", "ACKNOWLEDGEMENT_REQUIRED":
		return false
	case "BIOMETRIC_ATTESTATION_REQUIRED":
		return e.p.device != nil
	}
	return e.p.key != nil
}

// any sends one described call with made parameters.
func (e *explorer) any(c described) {
	path, query := c.path, ""
	parameters, _ := c.operation["parameters"].([]any)
	var edits []func(*http.Request)
	for _, q := range parameters {
		name, _ := lookUp(q, "name").(string)
		value := fmt.Sprint(e.value(name, lookUp(q, "schema"), 0))
		switch in := lookUp(q, "in"); {
		case in == "path":
			if e.p.view.NextStep != nil && e.chance(60, "this step") {
				value = e.p.view.NextStep.StepID
			}
			path = strings.ReplaceAll(path, "{"+name+"}", pathSafe(value))
		case in == "query":
			if e.chance(70, "this turn") {
				value = fmt.Sprint(e.p.view.Flow.Turn)
			}
			query = "?" + name + "=" + pathSafe(value)
		case in == "header" && name != "Prefer" && e.chance(20, "header"):
			edits = append(edits, header(name, headerSafe(value)))
		}
	}
	handle := e.p.handle
	if c.path == "/v1/flow/events" || e.chance(10, "another handle") {
		e.p.handle = nobody
	}
	body := ""
	if c.operation["requestBody"] != nil {
		body = e.body(c.operation)
	}
	if c.path == "/v1/session" {
		edits = append(edits, header("Authorization", "Session "+nobody))
	}
	e.call(c.method, path+query, body, edits...)
	if e.p.handle == nobody {
		e.p.handle = handle
	}
}

// body makes what a call takes, or now and then something that is no JSON.
func (e *explorer) body(o map[string]any) string {
	schema := lookUp(o, "requestBody", "content", "application/json", "schema")
	if schema == nil {
		return ""
	}
	made := text(e.t, e.value("", schema, 0))
	if e.chance(4, "broken") {
		return one(e.maker, []string{made[:len(made)/2], made + made, "[" + made + "]", "\xff", strings.Repeat(" ", 70<<10)}, "how")
	}
	return made
}

// call sends a request and holds it and its answer against the description.
func (e *explorer) call(method, href, body string, edits ...func(*http.Request)) {
	p := e.p
	if e.chance(2, "another method") {
		method = one(e.maker, []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, "method")
	}
	if strings.HasPrefix(href, "/v1/flow/events") && method == http.MethodGet && p.handle != nobody { // a stream would go on and on
		return
	}
	req, err := http.NewRequestWithContext(p.w.ctx, method, p.w.node.URL()+href, strings.NewReader(body))
	must(e.t, err)
	if body != "" && !e.chance(2, "no media type") {
		req.Header.Set("Content-Type", one(e.maker, []string{"application/json", "application/json", "application/json; charset=utf-8"}, "media"))
	}
	if p.handle != "" {
		req.Header.Set("Authorization", "Flow "+p.handle)
	}
	if p.key != nil && !e.chance(3, "no proof") {
		req.Header.Set("DPoP", p.proof(method, href))
	}
	for _, edit := range edits {
		edit(req)
	}
	resp, err := p.http.Do(req)
	must(e.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(e.t, err)
	if resp.StatusCode >= http.StatusInternalServerError {
		e.t.Fatalf("%s %s %s: %d %s", method, href, body, resp.StatusCode, answer)
	}
	if err := e.j.check(exchange{method, req.URL.Path, []byte(body), resp.StatusCode, resp.Header, answer}); err != nil {
		e.t.Fatalf("%s %s %s: %d %s: %v", method, href, body, resp.StatusCode, answer, err)
	}
	var v view
	if !strings.HasPrefix(href, "/v1/") || len(answer) == 0 || json.Unmarshal(answer, &v) != nil || v.Flow.ID == "" {
		return
	}
	if v.Handle != "" {
		p.handle = v.Handle
	}
	p.view = v
}

func pathSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return 'x'
	}, s[:min(len(s), 40)])
}

func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return 'x'
	}, s)
}

// explored is one node with its description, for many explorers.
func explored(t testing.TB) (*world, *judge) {
	t.Helper()
	w := newWorld(t, t, setup{definitions: everything})
	t.Cleanup(func() { w.close(t) })
	r, err := http.Get(w.node.URL() + "/openapi.json")
	must(t, err)
	defer r.Body.Close()
	doc, err := io.ReadAll(r.Body)
	must(t, err)
	return w, newJudge(t, doc)
}

// explore sends a number of random requests of one phone.
func explore(w *world, j *judge) func(*rapid.T) {
	var mu sync.Mutex // one clock, one Jane
	return func(rt *rapid.T) {
		mu.Lock()
		defer mu.Unlock()
		p := newPhone(rt, w, "phone")
		e := &explorer{maker{rt, j}, p, callsOf(j)}
		if e.chance(10, "no key") {
			p.key = nil
		}
		for range e.below(60, "requests") + 1 {
			e.step()
		}
	}
}

// The API is driven from its own description: whatever is sent, nothing breaks
// (no 5xx), nothing is answered that is not described, and nothing is accepted
// that is not described either.
func TestTheAPIIsAsDescribed(t *testing.T) {
	t.Parallel()
	w, j := explored(t)
	for range 5 { // of as many walks as rapid is told to check
		rapid.Check(t, explore(w, j))
	}
	for _, what := range []string{
		"POST /v1/flows 201", "POST /v1/flows 400", "GET /v1/flow 404", "POST /v1/flow/steps/{stepId} 200", "POST /v1/flow/steps/{stepId} 400",
		"POST /v1/flow/steps/{stepId} 409", "DELETE /v1/flow 200", "PASSWORD_REQUIRED", "WEB_HANDOVER_REQUIRED", "ACKNOWLEDGEMENT_REQUIRED",
	} {
		if !j.seen[what] {
			t.Errorf("never seen: %s; only %v", what, slices.Sorted(maps.Keys(j.seen)))
		}
	}
}

// FuzzAPI is the same for the fuzzer of the go command.
func FuzzAPI(f *testing.F) {
	w, j := explored(f)
	f.Fuzz(rapid.MakeFuzz(explore(w, j)))
}
