package externaltoken_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/steps"
	"github.com/stile-auth/stile/steps/externaltoken"
	"github.com/stile-auth/stile/steps/sso"
)

const (
	secret = "canary of the client secret"
	jane   = "subject-of-jane"

	definitions = `
flows:
  signed: { steps: [{ id: token, type: external_token, with: { provider: corporate, apps: [our-phone, our-server] } }] }
  plain: { steps: [{ id: token, type: external_token, with: { provider: corporate, apps: [our-phone], nonce: none } }] }
  asked: { steps: [{ id: token, type: external_token, with: { provider: corporate, apps: [our-phone], accept: introspection } }] }
  described: { steps: [{ id: token, type: external_token, with: { provider: corporate, apps: [our-phone], accept: userinfo } }] }
  elsewhere: { steps: [{ id: token, type: external_token, with: { provider: other, apps: [our-phone], nonce: none } }] }
providers:
  corporate:
    issuer: "https://idp.bank.example"
    client_id: stile
    client_secret: { env: SECRET }
    token_info: { endpoint: "https://idp.bank.example/tokeninfo", parameter: access_token, app: [aud], subject: sub, expires: exp }
  other: { issuer: "https://other.example", client_id: stile, client_secret: { env: SECRET } }
clients:
  app: { flows: [signed, plain, asked, described, elsewhere], dpop: optional }
`
)

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// kit is a provider with apps of ours and of others, and an engine.
type kit struct {
	idp    *oidctest.Provider
	clock  *clock
	store  *memory.Store
	access sso.Access
	def    flowdefs.Provider
	set    *flowdefs.Set
	other  *oidctest.Provider // nil: there is none
	engine *flows.Engine
	types  flows.StepType
}

func newKit(t testing.TB, changes ...func(*kit)) *kit {
	t.Helper()
	k := &kit{clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, store: memory.New()}
	k.idp = k.provider(t)
	k.access = sso.Access{Secret: secret, Network: oidcclient.Loopback, Transport: &http.Transport{DisableKeepAlives: true}, Now: k.clock.Now}
	registry, err := flows.NewRegistry(externaltoken.Type(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	k.set, err = flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(definitions)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	k.def = *k.set.Providers["corporate"]
	k.def.Issuer = k.idp.Issuer()
	info := *k.def.TokenInfo
	info.Endpoint, k.def.TokenInfo = k.idp.Issuer()+"/tokeninfo", &info
	for _, change := range changes {
		change(k)
	}
	k.types = externaltoken.Type(k.providers(t), k.store.Accounts())
	if registry, err = flows.NewRegistry(k.types); err != nil {
		t.Fatal(err)
	}
	k.link(t)
	sealer, err := seal.New(seal.Key{ID: "k", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	k.engine, err = flows.NewEngine(flows.EngineConfig{
		Definitions: k.set, Registry: registry, Store: k.store, Texts: k.store, Sessions: k.store, Throttle: k.store, Marks: k.store,
		Accounts: steps.Accounts(k.store.Accounts()), Recorder: k.store, Sealer: sealer, Logger: zap.NewNop(),
		Now: k.clock.Now, DecoyKey: make([]byte, 32), RunTTL: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// providers are the step's side of them.
func (k *kit) providers(t testing.TB) sso.Providers {
	t.Helper()
	all := sso.Providers{}
	for name, running := range map[string]*oidctest.Provider{"corporate": k.idp, "other": k.other} {
		def := k.def
		if running == nil {
			continue
		}
		if def.Name = name; name == "other" {
			def.Issuer, def.TokenInfo = running.Issuer(), nil
		}
		p, err := sso.NewProvider(&def, k.access)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = p
	}
	return all
}

func (k *kit) provider(t testing.TB, shapes ...*oidctest.Shape) *oidctest.Provider {
	t.Helper()
	cfg := oidctest.Config{
		Now: k.clock.Now, AccessTokenTTL: 10 * time.Minute, IDTokenTTL: time.Hour,
		Clients: []oidctest.Client{
			{ID: "stile", Secret: secret}, {ID: "our-phone"}, {ID: "our-server", Secret: "s"}, {ID: "a-game"},
		},
	}
	for _, shape := range shapes {
		cfg.Shape, cfg.Alg = shape, "RS256"
	}
	p, err := oidctest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (k *kit) link(t testing.TB) {
	t.Helper()
	links := []account.Link{{Issuer: k.def.Issuer, External: oidctest.DefaultUser().Subject, Subject: jane, Created: k.clock.Now()}}
	if k.other != nil {
		links = append(links, account.Link{Issuer: k.other.Issuer(), External: oidctest.DefaultUser().Subject, Subject: jane, Created: k.clock.Now()})
	}
	if err := k.store.Accounts().CreateAccount(t.Context(), account.Account{Subject: jane, Status: account.Active, Created: k.clock.Now()}, nil, links); err != nil {
		t.Fatal(err)
	}
}

// app is a phone with a run.
type app struct {
	k    *kit
	view flows.View
}

func (k *kit) start(t testing.TB, flow string) *app {
	t.Helper()
	v, err := k.engine.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: flow})
	if err != nil {
		t.Fatal(err)
	}
	return &app{k, v}
}

func (a *app) nonce(t testing.TB) string {
	t.Helper()
	var p struct {
		Nonce string `json:"nonce"`
	}
	data, err := json.Marshal(a.view.NextStep.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p.Nonce
}

// signOn is the provider's own software on the phone.
func signOn(t testing.TB, p *oidctest.Provider, n oidctest.Native) oidctest.NativeTokens {
	t.Helper()
	n.Username = oidctest.DefaultUser().Username
	tokens, err := p.SignOnNatively(n)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func (a *app) posts(t testing.TB, member, token string) error {
	t.Helper()
	body, err := json.Marshal(map[string]string{member: token})
	if err != nil {
		t.Fatal(err)
	}
	v, err := a.k.engine.Answer(context.WithoutCancel(t.Context()), a.view.Handle, flows.Caller{}, "token", a.view.Flow.Turn, body)
	var p *flows.Problem
	if errors.As(err, &p) && p.View != nil {
		v = *p.View
	}
	if v.Flow.ID != "" {
		handle := a.view.Handle
		if a.view = v; v.Handle == "" {
			a.view.Handle = handle
		}
	}
	return err
}

// completes says that the token let the app in as Jane.
func (a *app) completes(t testing.TB, member, token string) {
	t.Helper()
	if err := a.posts(t, member, token); err != nil {
		t.Fatal(err)
	}
	if a.view.Flow.Status != flows.Completed {
		t.Fatalf("the run is %s", a.view.Flow.Status)
	}
}

// refused says that the token was answered 401 with its code, and nothing granted.
func refused(t testing.TB, a *app, err error) {
	t.Helper()
	var p *flows.Problem
	if !errors.As(err, &p) || p.Kind != flows.KindUnauthorized || p.Code != flows.CodeTokenRefused {
		t.Fatalf("got %v, want 401 %s", err, flows.CodeTokenRefused)
	}
	if a.view.Flow.Status != flows.InProgress {
		t.Fatalf("the run is %s", a.view.Flow.Status)
	}
}

func unavailable(t testing.TB, a *app, err error) {
	t.Helper()
	var p *flows.Problem
	if !errors.As(err, &p) || p.Kind != flows.KindUnavailable {
		t.Fatalf("got %v, want 503", err)
	}
	if a.view.Flow.Status != flows.InProgress {
		t.Fatalf("the run is %s", a.view.Flow.Status)
	}
}
