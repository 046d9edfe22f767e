package contract_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// corners has a flow for each thing that can be answered badly.
const corners = `
flows:
  sign-on: { steps: [{ id: sso, type: sso, with: { provider: corporate } }] }
  local: { steps: [{ id: password, type: password }, { id: code, type: totp }] }
  named: { steps: [{ id: code, type: totp }, { id: password, type: password }] }
  bind: { steps: [{ id: password, type: password }, { id: code, type: totp }, { id: bind, type: device_enrolment }] }
  pin: { steps: [{ id: password, type: password }, { id: pin, type: pin }] }
  biometric: { steps: [{ id: password, type: password }, { id: biometric, type: device_biometric }] }
  pick:
    steps:
      - { id: password, type: password }
      - id: factor
        choose: [{ id: code, type: totp }, { id: sso, type: sso, with: { provider: corporate } }]
  again: { steps: [{ id: password, type: password }, { id: bind, type: device_enrolment }, { id: biometric, type: device_biometric }] }
targets:
  app: { flow: local, propagate: { type: bearer_jwt, audience: "https://app.bank.example" } }
  upstream: { flow: sign-on, propagate: { type: bearer_jwt, audience: "https://app.bank.example" } }
providers:
  corporate:
    { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }, scopes: [openid],
      assurance: { categories: [knowledge], cap: aal2 } }
clients:
  phone:
    flows: [sign-on, local, named, bind, pin, biometric, pick, again]
    targets: [app, upstream]
    redirect_uris: ["com.bank.app:/oauth2"]
    dpop: required
`

// refusal is one bad request and what is promised of it.
type refusal struct {
	name   string
	send   func(p *phone) reply
	status int
	code   string
}

// refuses sends it and checks the promises: its code, nothing changed, one event.
func refuses(t *testing.T, p *phone, r refusal) {
	t.Helper()
	p.t = t
	before, events := p.show(), len(p.w.events(t))
	got := r.send(p)
	if !got.is(r.status, r.code) {
		t.Errorf("%s: %d %s, want %d %s", r.name, got.status, got.body, r.status, r.code)
	}
	if media := got.header.Get("Content-Type"); media != "application/problem+json" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %s, %s", r.name, media, got.header.Get("Cache-Control"))
	}
	all := p.w.events(t)
	if len(all) != events+1 || all[len(all)-1].Type != flows.EventRefused {
		t.Errorf("%s: %d events: %+v", r.name, len(all)-events, all[events:])
	}
	if after := p.show(); after.body != before.body || after.status != http.StatusOK {
		t.Errorf("%s changed the run:\n%s%s", r.name, before.body, after.body)
	}
}

// bodies are not what any call takes, whatever its members are called.
func bodies(member string) map[string]string {
	good := `"` + member + `":"x"`
	return map[string]string{
		"no JSON":                 `{`,
		"words":                   `hello`,
		"empty object":            `{}`,
		"null":                    `null`,
		"list":                    `[]`,
		"list of an object":       `[{` + good + `}]`,
		"text":                    `"x"`,
		"number":                  `17`,
		"two values":              `{` + good + `} {` + good + `}`,
		"rubbish behind":          `{` + good + `}x`,
		"comma behind":            `{` + good + `,}`,
		"comment":                 `{` + good + `/**/}`,
		"single quotes":           `{'` + member + `':'x'}`,
		"byte order mark":         "\ufeff{" + good + `}`,
		"duplicate":               `{` + good + `,` + good + `}`,
		"duplicate by escape":     `{` + good + `,"\u00` + hexOf(member[0]) + member[1:] + `":"y"}`,
		"duplicate by case":       `{` + good + `,"` + strings.ToUpper(member) + `":"y"}`,
		"capitals":                `{"` + strings.ToUpper(member) + `":"x"}`,
		"unknown member":          `{` + good + `,"role":"admin"}`,
		"member with a null byte": `{"` + member + `\u0000":"x"}`,
		"value null":              `{"` + member + `":null}`,
		"value number":            `{"` + member + `":1}`,
		"value true":              `{"` + member + `":true}`,
		"value list":              `{"` + member + `":["x"]}`,
		"value object":            `{"` + member + `":{"x":"x"}}`,
		"empty value":             `{"` + member + `":""}`,
		"half a character":        `{"` + member + `":"\ud800"}`,
		"not UTF-8":               `{"` + member + `":"` + "\xff" + `"}`,
		"deep list":               `{"` + member + `":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`,
		"deep object":             strings.Repeat(`{"`+member+`":`, 2000) + `1` + strings.Repeat("}", 2000),
		"many members":            `{` + strings.Repeat(good+",", 400) + good + `}`,
	}
}

func hexOf(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// at brings a phone to each prompt; member is the one that its answer has.
func prompts() map[string]struct {
	member string
	reach  func(p *phone)
} {
	type prompt = struct {
		member string
		reach  func(p *phone)
	}
	to := func(flow, typ string, more ...string) func(p *phone) {
		return func(p *phone) { p.start("flow", flow, more...); p.until(typ) }
	}
	bound := func(flow, typ string) func(p *phone) {
		return func(p *phone) { p.start("flow", "bind"); p.finish(); p.start("flow", flow); p.until(typ) }
	}
	return map[string]prompt{
		"sso":              {"queryString", to("sign-on", "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED")},
		"password":         {"password", to("local", "PASSWORD_REQUIRED", "loginHint", login)},
		"totp":             {"code", to("local", "OTP_REQUIRED")},
		"selection":        {"select", to("pick", "SELECTION_REQUIRED")},
		"device_enrolment": {"jws", to("bind", "DEVICE_ENROLMENT_REQUIRED")},
		"pin":              {"pin", bound("pin", "PIN_REQUIRED")},
		"device_biometric": {"jws", bound("biometric", "BIOMETRIC_ATTESTATION_REQUIRED")},
	}
}

// Every kind of body that is not the promised one, at every prompt.
func TestBadBodies(t *testing.T) { //nolint:tparallel // the subtests share a world: its Jane and its clock
	t.Parallel()
	for _, store := range stores() {
		w := newWorld(t, t, setup{definitions: corners, store: store})
		t.Cleanup(func() { w.close(t) })
		for name, prompt := range prompts() {
			t.Run(store+"/"+name, func(t *testing.T) {
				p := newPhone(t, w, "phone")
				prompt.reach(p)
				href := p.view.NextStep.forward()
				for what, body := range bodies(prompt.member) {
					refuses(t, p, refusal{what, func(p *phone) reply { return p.send(http.MethodPost, href, body) }, 400, "invalid_request"})
				}
				for _, r := range wrapped(href, prompt.member) {
					refuses(t, p, r)
				}
				p.t = t
				p.finish() // and nothing of it stood in the way
			})
		}
	}
}

// wrapped are requests whose form is wrong, whatever is in them.
func wrapped(href, member string) []refusal {
	good := `{"` + member + `":"x"}`
	post := func(body string, edits ...func(*http.Request)) func(p *phone) reply {
		return func(p *phone) reply { return p.send(http.MethodPost, href, body, edits...) }
	}
	media := func(values ...string) func(*http.Request) { return header("Content-Type", values...) }
	path, _, _ := strings.Cut(href, "?")
	query := func(q string) func(p *phone) reply {
		return func(p *phone) reply { return p.send(http.MethodPost, path+q, good) }
	}
	huge := `{"` + member + `":"` + strings.Repeat("x", 64<<10) + `"}`
	return []refusal{
		{"no body", post("", media("application/json")), 400, "invalid_request"},
		{"spaces", post("  ", media("application/json")), 400, "invalid_request"},
		{"oversized", post(huge), 413, "request_too_large"},
		{"oversized in pieces", post(huge, func(r *http.Request) { r.ContentLength = -1 }), 413, "request_too_large"},
		{"text", post(good, media("text/plain")), 415, "unsupported_media_type"},
		{"a form", post(member+"=x", media("application/x-www-form-urlencoded")), 415, "unsupported_media_type"},
		{"no media type", post(good, func(r *http.Request) { r.Header.Del("Content-Type") }), 415, "unsupported_media_type"},
		{"two media types", post(good, media("application/json", "application/json")), 415, "unsupported_media_type"},
		{"another charset", post(good, media("application/json; charset=utf-16")), 415, "unsupported_media_type"},
		{"a problem", post(good, media("application/problem+json")), 415, "unsupported_media_type"},
		{"compressed", post(good, header("Content-Encoding", "gzip")), 415, "unsupported_media_type"},
		{"no turn", query(""), 400, "invalid_request"},
		{"turn zero", query("?turn=0"), 400, "invalid_request"},
		{"turn in words", query("?turn=two"), 400, "invalid_request"},
		{"turn negative", query("?turn=-1"), 400, "invalid_request"},
		{"turn too long", query("?turn=99999999999999999999"), 400, "invalid_request"},
		{"turn twice", query("?turn=1&turn=2"), 400, "invalid_request"},
		{"more parameters", query("?turn=1&x=1"), 400, "invalid_request"},
		{"short idempotency key", post(good, header("Idempotency-Key", "short")), 400, "invalid_request"},
		{"two idempotency keys", post(good, header("Idempotency-Key", strings.Repeat("a", 22), strings.Repeat("b", 22))), 400, "invalid_request"},
	}
}

// Handles, steps and turns that are not the right ones.
func TestBadHandlesStepsAndTurns(t *testing.T) {
	t.Parallel()
	for _, store := range stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, t, setup{definitions: corners, store: store})
			defer w.close(t)
			p := newPhone(t, w, "phone")
			p.start("flow", "pick")
			retired := p.handle
			p.answer()
			missing := badHandles(t, w, p, retired)
			stale := func(step, turn string) func(*phone) reply {
				return func(p *phone) reply {
					return p.send(http.MethodPost, "/v1/flow/steps/"+step+"?turn="+turn, `{"select":"code"}`)
				}
			}
			for _, r := range []refusal{
				{"a step that has passed", stale("password", "2"), 409, "not_current_step"},
				{"a step that comes later", stale("code", "2"), 409, "not_current_step"},
				{"a step that there is not", stale("nonsense", "2"), 409, "not_current_step"},
				{"a step by its code", stale("%66actor", "2"), 409, "not_current_step"},
				{"a stale turn", stale("factor", "1"), 409, "stale_turn"},
				{"a turn to come", stale("factor", "3"), 409, "stale_turn"},
				{"back with a stale turn", func(p *phone) reply { return p.send(http.MethodPost, "/v1/flow/back?turn=1", "") }, 409, "stale_turn"},
				{"back across a proof", func(p *phone) reply { return p.send(http.MethodPost, "/v1/flow/back?turn=2", "") }, 409, "action_not_allowed"},
				{"a body that cancels", func(p *phone) reply { return p.send(http.MethodDelete, "/v1/flow", "{}") }, 400, "invalid_request"},
				{"a query that cancels", func(p *phone) reply { return p.send(http.MethodDelete, "/v1/flow?turn=2", "") }, 400, "invalid_request"},
				{"an option that is not offered", func(p *phone) reply {
					return p.send(http.MethodPost, p.view.NextStep.forward(), `{"select":"biometric"}`)
				}, 400, "invalid_request"},
			} {
				refuses(t, p, r)
			}
			p.t = t
			over(t, w, p, missing)
		})
	}
}

// badHandles: whatever is wrong with a handle or proof, the answer is one and the same.
func badHandles(t *testing.T, w *world, p *phone, retired string) string {
	t.Helper()
	stranger := newPhone(t, w, "phone")
	stranger.start("flow", "local")
	with := func(values ...string) func(p *phone) reply {
		return func(p *phone) reply { return p.show(header("Authorization", values...)) }
	}
	used := ""
	one := ""
	for _, r := range []refusal{
		{"none", func(p *phone) reply { return p.show(func(r *http.Request) { r.Header.Del("Authorization") }) }, 0, ""},
		{"unknown", with("Flow " + b64(make([]byte, 32))), 0, ""},
		{"short", with("Flow AAAA"), 0, ""},
		{"another spelling", with("Flow " + p.handle[:42] + respelt(p.handle[42])), 0, ""},
		{"with padding", with("Flow " + p.handle + "="), 0, ""},
		{"in quotes", with(`Flow "` + p.handle + `"`), 0, ""},
		{"as Bearer", with("Bearer " + p.handle), 0, ""},
		{"twice", with("Flow "+p.handle, "Flow "+p.handle), 0, ""},
		{"retired", with("Flow " + retired), 0, ""},
		{"of another run", with("Flow " + stranger.handle), 0, ""},
		{"the run's id", with("Flow " + p.view.Flow.ID), 0, ""},
		{"in the hands of another key", func(p *phone) reply { return p.other().show() }, 0, ""},
		{"without a proof", func(p *phone) reply { return p.show(func(r *http.Request) { r.Header.Del("DPoP") }) }, 0, ""},
		{"with two proofs", func(p *phone) reply {
			return p.show(func(r *http.Request) { r.Header.Add("DPoP", p.proof("GET", "/v1/flow")) })
		}, 0, ""},
		{"with an empty proof", func(p *phone) reply { return p.show(header("DPoP", "")) }, 0, ""},
		{"with the proof of another method", func(p *phone) reply { return p.show(header("DPoP", p.proof("POST", "/v1/flow"))) }, 0, ""},
		{"with the proof of another path", func(p *phone) reply { return p.show(header("DPoP", p.proof("GET", "/v1/flows"))) }, 0, ""},
		{"with a proof that was used", func(p *phone) reply {
			used = p.proof("GET", "/v1/flow")
			if r := p.show(header("DPoP", used)); r.status != http.StatusOK {
				t.Errorf("%d", r.status)
			}
			return p.show(header("DPoP", used))
		}, 0, ""},
		{"with an old proof", func(p *phone) reply {
			old := p.proof("GET", "/v1/flow")
			w.clock.pass(2 * time.Minute)
			return p.show(header("DPoP", old))
		}, 0, ""},
	} {
		r.status, r.code = 404, "flow_not_found"
		body := ""
		refuses(t, p, refusal{r.name, func(p *phone) reply { got := r.send(p); body = got.body; return got }, r.status, r.code})
		if one == "" {
			one = body
		}
		if body != one {
			t.Errorf("%s: %s is not %s", r.name, body, one)
		}
	}
	return one
}

// respelt is another character for the same bits: a handle's last one carries four.
func respelt(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)|1])
}

// over: what is finished is gone with the right handle, and as if it never was
// with another one or after its time.
func over(t *testing.T, w *world, p *phone, missing string) {
	t.Helper()
	for _, end := range []string{"completed", "cancelled"} {
		p.start("flow", "local")
		before := p.handle
		if end == "completed" {
			p.finish()
		} else if r := p.send(http.MethodDelete, "/v1/flow", ""); r.status != http.StatusOK || r.view.Flow.Status != end {
			t.Errorf("%d %s", r.status, r.body)
		}
		for _, call := range []func() reply{
			func() reply { return p.show() },
			func() reply { return p.send(http.MethodPost, "/v1/flow/steps/code?turn=2", `{"code":"123456"}`) },
			func() reply { return p.send(http.MethodDelete, "/v1/flow", "") },
			func() reply { return p.send(http.MethodPost, "/v1/flow/restart?turn=2", "") },
			func() reply { return p.send(http.MethodPost, "/v1/flow/back?turn=2", "") },
		} {
			events := len(w.events(t))
			if r := call(); !r.is(410, "flow_finished") || r.view.Flow.Status != end || r.view.Result != nil || r.view.Handle != "" {
				t.Errorf("%s: %d %s", end, r.status, r.body)
			}
			if n := len(w.events(t)) - events; n != 1 {
				t.Errorf("%s: %d events", end, n)
			}
		}
		if r := p.other().show(); r.body != missing {
			t.Errorf("%s, with another key: %s", end, r.body)
		}
		if end == "completed" {
			if r := p.show(header("Authorization", "Flow "+before)); r.body != missing {
				t.Errorf("the first handle of a finished run: %s", r.body)
			}
		}
		w.clock.pass(11 * time.Minute)
		if r := p.show(); r.body != missing {
			t.Errorf("%s and expired: %s", end, r.body)
		}
	}
	p.start("flow", "local")
	expires := p.view.Flow.ExpiresAt
	w.clock.pass(expires.Sub(w.clock.now()) - time.Second)
	if r := p.show(); r.status != http.StatusOK {
		t.Errorf("a second before its end: %d", r.status)
	}
	w.clock.pass(time.Second)
	if r := p.show(); r.status != 404 || r.body != missing {
		t.Errorf("expired: %d %s", r.status, r.body)
	}
	if r := p.post("/v1/flow/steps/password?turn=1", map[string]any{"username": login, "password": password}); r.body != missing {
		t.Errorf("expired, answered rightly: %s", r.body)
	}
}

// A start that is not right starts nothing.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	p := newPhone(t, w, "phone")
	type start struct {
		body   string
		status int
		code   string
		edits  []func(*http.Request)
	}
	all := map[string]start{
		"unknown client":    {body: `{"clientId":"nobody","flow":"local"}`, code: "unknown_client"},
		"no client":         {body: `{"flow":"local"}`},
		"empty client":      {body: `{"clientId":"","flow":"local"}`},
		"unknown flow":      {body: `{"clientId":"phone","flow":"nonsense"}`, code: "flow_not_allowed"},
		"unknown target":    {body: `{"clientId":"phone","target":"nonsense"}`, code: "flow_not_allowed"},
		"flow and target":   {body: `{"clientId":"phone","flow":"local","target":"app"}`},
		"neither":           {body: `{"clientId":"phone"}`},
		"negative age":      {body: `{"clientId":"phone","flow":"local","maxAge":-1}`},
		"age in words":      {body: `{"clientId":"phone","flow":"local","maxAge":"1"}`},
		"age with a half":   {body: `{"clientId":"phone","flow":"local","maxAge":1.5}`},
		"levels as text":    {body: `{"clientId":"phone","flow":"local","acrValues":"aal1"}`},
		"an empty level":    {body: `{"clientId":"phone","flow":"local","acrValues":[""]}`},
		"too many levels":   {body: `{"clientId":"phone","flow":"local","acrValues":[` + strings.Repeat(`"a",`, 64) + `"a"]}`},
		"a long hint":       {body: `{"clientId":"phone","flow":"local","loginHint":"` + strings.Repeat("x", 1025) + `"}`},
		"cannot draw":       {body: `{"clientId":"phone","flow":"local","capabilities":["PIN_REQUIRED"]}`, code: "unsupported_client_capabilities"},
		"with a query":      {body: `{"clientId":"phone","flow":"local"}`, edits: []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = "turn=1" }}},
		"without a proof":   {body: `{"clientId":"phone","flow":"local"}`, code: "invalid_dpop_proof", edits: []func(*http.Request){func(r *http.Request) { r.Header.Del("DPoP") }}},
		"with a bad proof":  {body: `{"clientId":"phone","flow":"local"}`, code: "invalid_dpop_proof", edits: []func(*http.Request){header("DPoP", "x.y.z")}},
		"with two proofs":   {body: `{"clientId":"phone","flow":"local"}`, code: "invalid_dpop_proof", edits: []func(*http.Request){func(r *http.Request) { r.Header.Add("DPoP", r.Header.Get("DPoP")) }}},
		"with a weak key":   {body: `{"clientId":"phone","flow":"local"}`, edits: []func(*http.Request){header("Idempotency-Key", "1")}},
		"with another type": {body: `{"clientId":"phone","flow":"local"}`, status: 415, code: "unsupported_media_type", edits: []func(*http.Request){header("Content-Type", "text/json")}},
		"oversized":         {body: `{"clientId":"` + strings.Repeat("x", 64<<10) + `"}`, status: 413, code: "request_too_large"},
	}
	for name, body := range bodies("clientId") {
		all["body: "+name] = start{body: body}
	}
	for name, s := range all {
		if s.status == 0 {
			s.status = 400
		}
		if s.code == "" {
			s.code = "invalid_request"
		}
		events := len(w.events(t))
		if r := p.send(http.MethodPost, "/v1/flows", s.body, s.edits...); !r.is(s.status, s.code) || r.view.Handle != "" || r.view.Flow.ID != "" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		if got := w.events(t)[events:]; len(got) != 1 || got[0].Type != flows.EventRefused || got[0].Run != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if n, err := w.node.Base.Store.DeleteExpired(t.Context(), w.clock.now().Add(time.Hour), 10); err != nil || n != 0 {
		t.Errorf("%d runs were started, %v", n, err)
	}
}

// A key that was bound in a run proves nothing in it, and still the phone is bound.
func TestEnrolledKeyProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: corners})
	defer w.close(t)
	disableType(t, w, account.TypeTOTP)
	p := newPhone(t, w, "phone")
	p.start("flow", "again")
	p.until("BIOMETRIC_ATTESTATION_REQUIRED")
	r := p.post(p.view.NextStep.forward(), p.right())
	if r.status != http.StatusForbidden || r.view.Flow.Status != "failed" || r.view.Result != nil {
		t.Errorf("%d %s", r.status, r.body)
	}
	p.start("flow", "biometric")
	p.finish()
}

// disableType takes an authenticator of Jane out of use.
func disableType(t *testing.T, w *world, typ string) {
	t.Helper()
	all, err := w.node.Base.Accounts.Authenticators(t.Context(), w.added.Subject)
	must(t, err)
	for _, a := range all {
		if a.Type != typ {
			continue
		}
		must(t, w.node.Base.Accounts.UpdateAuthenticator(t.Context(), a.ID, func(a *account.Authenticator) error {
			a.Status = account.Disabled
			return nil
		}))
	}
}
