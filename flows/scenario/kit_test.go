package scenario_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/dpop"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
)

const definitions = `
flows:
  door:
    timeout: 20m
    steps:
      - { id: secret, type: secret }
      - id: more
        choose:
          - { id: code, type: code, if: account.has("code"), on: { exhausted: help } }
          - { id: key, type: code, if: account.has("key") }
          - { id: note, type: note }
      - { id: sign, type: note, activate: true }
      - require: '!("mad" in account.attributes)'
    handlers:
      help: [{ id: support, type: note }]
  strict:
    back: false
    restart: false
    steps:
      - { id: secret, type: secret }
  lax:
    steps:
      - { id: gate, type: lax }
      - { id: secret, type: secret }
targets:
  house: { flow: door, propagate: { type: bearer_jwt, audience: "https://house.example" } }
providers:
  corporate: { issuer: "https://idp.example", client_id: stile }
clients:
  app: { flows: [door, strict, lax], targets: [house], dpop: optional }
`

// fake is a step whose answer is {"answer": WORD}; "ok" is right.
type fake struct{ typ string }

type fakeAnswer struct {
	Answer string `json:"answer,omitempty"`
}

func (f fake) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	return flows.Ask(flows.Prompt{Data: map[string]any{"challenge": v.RunID + v.RunID, "kind": f.typ, "visit": v.Attempt}}), nil
}

func (f fake) Answer(_ context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a fakeAnswer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	switch {
	case f.typ == "note", f.typ == "lax":
		return flows.Done(), nil
	case a.Answer == "down":
		return flows.Outcome{}, fmt.Errorf("%w: test", flows.ErrUnavailable)
	case a.Answer != "ok" && a.Answer != "leak":
		return flows.Reject("wrong", nil), nil
	}
	e := assurance.Evidence{Authenticator: f.typ, Binding: assurance.AAL2, Cap: assurance.AAL3}
	e.Method, e.Categories = assurance.Password, []assurance.Category{assurance.Knowledge}
	if f.typ == "code" {
		e.Method, e.Categories, e.ReplayResistant = assurance.TOTP, []assurance.Category{assurance.Possession}, true
	}
	return flows.Pass(flows.Proof{Subject: "jane", Evidence: e}), nil
}

func act(_ json.RawMessage, word string) (json.RawMessage, error) {
	if word == "unheard" {
		return nil, errors.New("no such word")
	}
	if word == "wrong" || word == "ok" || word == "down" {
		return json.Marshal(fakeAnswer{word})
	}
	return json.Marshal(fakeAnswer{"ok"})
}

func types() []flows.StepType {
	ceiling := func(m assurance.Method, c assurance.Category) []assurance.Ceiling {
		return []assurance.Ceiling{{Method: m, Categories: []assurance.Category{c}, ReplayResistant: c == assurance.Possession}}
	}
	made := func(t flows.StepType) flows.StepType {
		t.Doc, t.Code = "Test step.\n\nA step of the tests.", "TEST_"+map[string]string{"secret": "SECRET", "code": "CODE", "note": "NOTE", "lax": "LAX"}[t.Name]+"_REQUIRED"
		t.New = func(cfg flowdefs.Config) (flows.Step, error) { return fake{t.Name}, cfg.Decode(&struct{}{}) }
		return t
	}
	return []flows.StepType{
		made(flows.StepType{Name: "secret", Authenticator: "secret", Guessable: true, Evidence: ceiling(assurance.Password, assurance.Knowledge), Actor: act}),
		made(flows.StepType{Name: "code", Authenticator: "code", Guessable: true, Evidence: ceiling(assurance.TOTP, assurance.Possession), Actor: act}),
		made(flows.StepType{Name: "note"}),
		made(flows.StepType{Name: "lax", Actor: act}),
	}
}

// jane is everybody.
type jane struct{ given scenario.Given }

func (j jane) Account(_ context.Context, subject string) (flows.Account, error) {
	a := flows.Account{Subject: subject, Status: flows.AccountActive, Attributes: j.given.Attributes}
	for _, t := range append([]string{"secret"}, j.given.Has...) {
		a.Authenticators = append(a.Authenticators, flows.Authenticator{ID: t, Type: t, Binding: assurance.AAL2})
	}
	return a, nil
}

func (j jane) Resolve(context.Context, string) (string, string, error) { return "jane", "jane", nil }

func (j jane) Activate(context.Context, string) error { return nil }
func (j jane) Disable(context.Context, string) error  { return nil }

type tokens struct{}

func (tokens) Propagate(_ context.Context, id flows.Identity) (flows.Grant, error) {
	claims, err := json.Marshal(map[string]any{"sub": id.Subject, "nested": map[string]any{"a": 1, "b": 2}})
	return flows.Grant{Type: "bearer_jwt", Token: "e30." + rawURL(claims) + ".c2ln", Expires: id.Now.Add(time.Minute)}, err
}

func rawURL(b []byte) string {
	text, _ := json.Marshal(b) // standard base64
	r := strings.NewReplacer("+", "-", "/", "_", "=", "", `"`, "")
	return r.Replace(string(text))
}

// set loads the definitions.
func set(t testing.TB) *flowdefs.Set {
	t.Helper()
	reg, err := flows.NewRegistry(types()...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := flowdefs.Load(fstest.MapFS{"f.yaml": {Data: []byte(definitions)}}, ".", reg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// host makes worlds; twist may change the API's handler.
func host(t testing.TB, s *flowdefs.Set, twist func(http.Handler) http.Handler) scenario.Host {
	t.Helper()
	return scenario.Host{Definitions: s, Open: func(_ context.Context, c scenario.Cast) (*scenario.World, error) {
		reg, err := flows.NewRegistry(types()...)
		if err != nil {
			return nil, err
		}
		sealer, err := seal.New(seal.Key{ID: "k", Secret: make([]byte, seal.KeySize)})
		if err != nil {
			return nil, err
		}
		st := memory.New()
		e, err := flows.NewEngine(flows.EngineConfig{
			Definitions: s, Registry: reg, Store: st, Texts: st, Sessions: st, Throttle: st, Marks: st, Accounts: jane{c.Given},
			Recorder: st, Sealer: sealer, Propagators: map[string]flows.Propagator{"bearer_jwt": tokens{}}, Logger: zap.NewNop(),
			Now: c.Clock.Now, DecoyKey: make([]byte, 32),
		})
		if err != nil {
			return nil, err
		}
		proofs, err := dpop.New(dpop.Config{Now: c.Clock.Now, Taken: func(context.Context, string, string, time.Time) error { return nil }})
		if err != nil {
			return nil, err
		}
		h, err := httpapi.New(httpapi.Config{
			Engine: e, DPoP: proofs, BaseURL: "https://stile.example", Logger: zap.NewNop(), Now: c.Clock.Now, Metrics: prometheus.NewRegistry(),
		})
		if err != nil {
			return nil, err
		}
		if twist != nil {
			h = twist(h)
		}
		return &scenario.World{
			Engine: e, Handler: h, BaseURL: "https://stile.example", Lookup: reg.Lookup,
			Events: func(ctx context.Context) ([]flows.Event, error) {
				events, _, err := st.Events(ctx, 0, 1000)
				return events, err
			},
			Close: func() error { return nil },
		}, nil
	}}
}

// play loads the text as the file x.test.yaml and plays it.
func play(t testing.TB, text string, twist func(http.Handler) http.Handler) scenario.Report {
	t.Helper()
	s := set(t)
	all, err := scenario.Load(fstest.MapFS{"x.test.yaml": {Data: []byte(text)}}, ".", s)
	if err != nil {
		t.Fatal(err)
	}
	var ticks time.Duration
	r, err := scenario.New(scenario.Config{Host: host(t, s, twist), HTTP: true, Parallel: 1, Now: func() time.Time {
		ticks += time.Millisecond
		return time.Unix(0, 0).Add(ticks)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(t.Context(), all)
}

// said is what a report says of failures.
func said(t testing.TB, r scenario.Report) string {
	t.Helper()
	var b bytes.Buffer
	r.Coverage = scenario.Coverage{}
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
