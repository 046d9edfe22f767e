package app_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

var now = time.Date(2026, 5, 4, 12, 0, 10, 0, time.UTC)

const redirectURI = "com.bank.app:/oauth2"

// prompt is one step of a script.
type prompt struct {
	typ, id string
	data    any
	action  string                                                         // default "submit"
	schema  string                                                         // default: one string member named like the step
	href    string                                                         // default: the step's own
	check   func(body map[string]any) (status int, problem map[string]any) // default: 200
}

// fake plays a script as the REST contract says: handles that rotate, one-time
// proofs by one key, idempotent repeats.
type fake struct {
	t      *testing.T
	url    string
	script []prompt
	nonce  string                 // demanded in proofs if set
	view   func(v map[string]any) // spoils an answer

	mu       sync.Mutex
	at       int
	handles  []string // the handle that each request brought
	handle   string
	keys     []string // Idempotency-Key of each request
	bodies   []string
	done     []string // steps that were worked on, each time that they were
	jtis     map[string]bool
	key      string // thumbprint of the first proof
	kept     map[string]kept
	starts   []map[string]any
	problems []string // what the app did against the contract
}

type kept struct {
	handle, body string
	status       int
	answer       []byte
}

func newFake(t *testing.T, script ...prompt) *fake {
	t.Helper()
	f := &fake{t: t, script: script, jtis: map[string]bool{}, kept: map[string]kept{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	t.Cleanup(func() {
		for _, p := range f.problems {
			t.Error(p)
		}
	})
	f.url = server.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	if !f.proved(w, r) {
		return
	}
	handle, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Flow ")
	key := r.Header.Get("Idempotency-Key")
	f.handles, f.keys, f.bodies = append(f.handles, handle), append(f.keys, key), append(f.bodies, string(raw))
	if bits, err := base64.RawURLEncoding.DecodeString(key); err != nil || len(bits) < 16 {
		f.problems = append(f.problems, "Idempotency-Key "+key)
	}
	if k, ok := f.kept[key]; ok {
		if k.handle != handle || k.body != string(raw) {
			f.problems = append(f.problems, "a repeat differs from its first request")
		}
		f.write(w, k.status, k.answer)
		return
	}
	if handle != f.handle {
		f.problems = append(f.problems, fmt.Sprintf("handle %q, want %q", handle, f.handle))
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		f.problems = append(f.problems, "body: "+err.Error())
	}
	status, answer := f.work(r, body)
	text, _ := json.Marshal(answer)
	f.kept[key] = kept{handle, string(raw), status, text}
	f.write(w, status, text)
}

func (f *fake) write(w http.ResponseWriter, status int, answer []byte) {
	w.Header().Set("Content-Type", "application/json")
	if status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

// proved checks the DPoP proof with another library than the app's.
func (f *fake) proved(w http.ResponseWriter, r *http.Request) bool {
	payload, header := verify(f.t, r.Header.Get("DPoP"), nil)
	thumb := thumbprintOf(f.t, header.JSONWebKey)
	if f.key == "" {
		f.key = thumb
	}
	jti, _ := payload["jti"].(string)
	if f.nonce != "" && payload["nonce"] != f.nonce {
		w.Header().Set("DPoP-Nonce", f.nonce)
		f.write(w, 401, []byte(`{"status":401,"code":"use_dpop_nonce"}`))
		return false
	}
	if header.ExtraHeaders["typ"] != "dpop+jwt" || thumb != f.key || jti == "" || f.jtis[jti] ||
		payload["htm"] != r.Method || payload["htu"] != f.url+r.URL.Path || payload["iat"] != float64(now.Unix()) {
		f.problems = append(f.problems, fmt.Sprintf("DPoP proof %v %v", header, payload))
	}
	f.jtis[jti] = true
	return true
}

func (f *fake) work(r *http.Request, body map[string]any) (int, map[string]any) {
	if r.Method+" "+r.URL.Path == "POST /v1/flows" {
		f.starts = append(f.starts, body)
		f.handle = "handle-0"
		return 201, f.show(f.handle)
	}
	p := f.script[f.at]
	if want := f.hrefOf(f.at); r.URL.RequestURI() != want {
		f.problems = append(f.problems, fmt.Sprintf("%s, want %s", r.URL.RequestURI(), want))
	}
	f.done = append(f.done, p.id)
	if p.check != nil {
		if status, problem := p.check(body); status != 200 {
			answer := f.show("")
			for name, value := range problem {
				answer[name] = value
			}
			answer["status"] = status
			return status, answer
		}
	}
	f.at++
	if f.at == 1 || f.at == len(f.script) {
		f.handle = fmt.Sprintf("handle-%d", f.at)
		return 200, f.show(f.handle)
	}
	return 200, f.show("")
}

func (f *fake) hrefOf(i int) string {
	if f.script[i].href != "" {
		return f.script[i].href
	}
	return fmt.Sprintf("/v1/flow/steps/%s?turn=%d&x=%%2F", f.script[i].id, i+1)
}

// show is the view of the step that the script is at.
func (f *fake) show(handle string) map[string]any {
	flow := map[string]any{"id": "run-1", "name": "test", "status": "in_progress", "turn": f.at + 1, "expiresAt": now.Add(time.Minute)}
	v := map[string]any{"flow": flow, "assurance": map[string]any{"acr": nil, "amr": []string{}}}
	if handle != "" {
		v["handle"] = handle
	}
	if f.at == len(f.script) {
		flow["status"] = "completed"
		v["assurance"] = map[string]any{"acr": "aal2", "amr": []string{"otp", "mfa"}}
		v["result"] = map[string]any{
			"session": "the-session", "sessionExpiresAt": now.Add(time.Hour),
			"grant": map[string]any{"type": "bearer_jwt", "token": "the-token", "scheme": "DPoP", "expiresAt": now.Add(5 * time.Minute)},
		}
	} else {
		p := f.script[f.at]
		if p.action == "" {
			p.action = "submit"
		}
		if p.schema == "" {
			p.schema = `{"type":"object","properties":{"` + p.id + `":{"type":"string"}},"required":["` + p.id + `"],"additionalProperties":false}`
		}
		v["nextStep"] = map[string]any{"type": p.typ, "stepId": p.id, "data": p.data, "actions": []any{
			map[string]any{"name": "cancel", "method": "DELETE", "href": "/v1/flow"},
			map[string]any{"name": "back", "method": "POST", "href": "/v1/flow/back?turn=1"},
			map[string]any{"name": p.action, "method": "POST", "href": f.hrefOf(f.at), "schema": json.RawMessage(p.schema)},
		}}
	}
	if f.view != nil {
		f.view(v)
	}
	return v
}

// verify opens a compact ES256 JWS; with no key it takes the one in the header.
func verify(t *testing.T, compact string, key *jose.JSONWebKey) (map[string]any, jose.Header) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Errorf("JWS %q: %v", compact, err)
		return nil, jose.Header{}
	}
	header := jws.Signatures[0].Protected
	if key == nil {
		key = header.JSONWebKey
	}
	payload, err := jws.Verify(key)
	if err != nil {
		t.Errorf("JWS: %v", err)
		return nil, header
	}
	var claims map[string]any
	if err := json.NewDecoder(bytes.NewReader(payload)).Decode(&claims); err != nil {
		t.Error(err)
	}
	return claims, header
}

func thumbprintOf(t *testing.T, key *jose.JSONWebKey) string {
	t.Helper()
	if key == nil || !key.IsPublic() {
		t.Error("no public key in the header")
		return ""
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Error(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func newDevice(t *testing.T, biometrics func() bool) *app.Device {
	t.Helper()
	d, err := app.NewDevice(app.DeviceConfig{Now: func() time.Time { return now }, Biometrics: biometrics})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// newApp is jane's phone, set up to talk to the fake; change it as needed.
func newApp(t *testing.T, f *fake, change func(*app.Config)) *app.App {
	t.Helper()
	browser, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "jane", Password: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := app.Config{
		StileURL: f.url, ClientID: "bank-app", RedirectURI: redirectURI, Browser: browser,
		Device: newDevice(t, func() bool { return true }), Now: func() time.Time { return now },
		User: app.User{Username: "jane", Password: "secret", PIN: "12345678"},
	}
	if change != nil {
		change(&cfg)
	}
	a, err := app.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
