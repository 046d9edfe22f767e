package sso_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
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
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
	"github.com/stile-auth/stile/steps"
	"github.com/stile-auth/stile/steps/sso"
)

const (
	redirectURI = "com.bank.app:/oauth2"
	secret      = "canary of the client secret"
	jane        = "subject-of-jane"
)

const definitions = `
flows:
  sign-on:
    steps:
      - { id: sso, type: sso, with: { provider: corporate } }
  handled:
    steps:
      - { id: sso, type: sso, with: { provider: corporate }, on: { denied: denied, cancelled: cancelled, unavailable: unavailable } }
    handlers:
      denied: [{ id: denied, type: sso, with: { provider: other } }]
      cancelled: [{ id: cancelled, type: sso, with: { provider: other } }]
      unavailable: [{ id: unavailable, type: sso, with: { provider: other } }]
  fresh:
    steps:
      - { id: sso, type: sso, with: { provider: corporate, max_age: 5m } }
providers:
  corporate:
    issuer: "https://idp.bank.example"
    client_id: stile
    client_secret: { env: SECRET }
    scopes: [openid, email]
    assurance: { categories: [knowledge], cap: aal2 }
  other: { issuer: "https://other.example", client_id: stile }
clients:
  app: { flows: [sign-on, fresh, handled], redirect_uris: ["com.bank.app:/oauth2", "https://other.example/"], dpop: optional }
  parted: { flows: [sign-on], redirect_uris: ["com.bank.app:/oauth2"], provider_redirects: { corporate: "com.bank.app:/corporate" }, dpop: optional }
  desk: { flows: [sign-on], redirect_uris: ["com.bank.app:/oauth2", "http://127.0.0.1/cb"], dpop: optional }
  lost: { flows: [sign-on], dpop: optional }
`

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

// repository can fail on demand.
type repository struct {
	*memory.Accounts
	mu   sync.Mutex
	down bool
}

var errDown = errors.New("database is down")

func (r *repository) AccountByLink(ctx context.Context, issuer, external string) (account.Account, error) {
	if r.isDown() {
		return account.Account{}, errDown
	}
	return r.Accounts.AccountByLink(ctx, issuer, external)
}

func (r *repository) isDown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down
}

func (r *repository) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// mortal is a store that can die before a run is stored.
type mortal struct {
	*memory.Store
	mu    sync.Mutex
	dying bool
}

func (m *mortal) dieOnUpdate(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dying = yes
}

func (m *mortal) Update(ctx context.Context, r flows.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dying {
		return errDown
	}
	return m.Store.Update(ctx, r)
}

// kit is a provider, an engine whose flows sign on there, and Jane.
type kit struct {
	idp    *oidctest.Provider
	clock  *clock
	store  *mortal
	links  sso.Accounts
	people *repository
	wire   *http.Transport
	road   http.RoundTripper // the browser's, if not wire
	access sso.Access        // if not that of a provider on this machine
	def    flowdefs.Provider
	secret string
	engine *flows.Engine
}

func newKit(t testing.TB, changes ...func(*kit)) *kit {
	t.Helper()
	k := &kit{
		clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, store: &mortal{Store: memory.New()},
		wire: &http.Transport{DisableKeepAlives: true}, secret: secret,
	}
	k.people = &repository{Accounts: k.store.Accounts()}
	k.links = k.people
	var err error
	k.idp, err = oidctest.Start(oidctest.Config{
		Now: k.clock.Now, CodeTTL: time.Hour, AccessTokenTTL: time.Hour,
		Clients: []oidctest.Client{{ID: "stile", Secret: secret, RedirectURIs: []string{redirectURI, "com.bank.app:/corporate", "http://127.0.0.1/cb"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.idp.Close(); err != nil {
			t.Error(err)
		}
	})
	set := load(t)
	k.def = *set.Providers["corporate"]
	k.def.Issuer = k.idp.Issuer()
	k.link(t, jane, k.idp.Issuer(), oidctest.DefaultUser().Subject)
	for _, change := range changes {
		change(k)
	}
	k.engine = k.newEngine(t, set)
	return k
}

// load reads the definitions, with step types that cannot run.
func load(t testing.TB) *flowdefs.Set {
	t.Helper()
	registry, err := flows.NewRegistry(sso.Type(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(definitions)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// link makes an account with a link.
func (k *kit) link(t testing.TB, subject, issuer, external string) {
	t.Helper()
	err := k.people.CreateAccount(t.Context(), account.Account{Subject: subject, Status: account.Active, Created: k.clock.Now()}, nil,
		[]account.Link{{Issuer: issuer, External: external, Subject: subject, Created: k.clock.Now()}})
	if err != nil {
		t.Fatal(err)
	}
}

func (k *kit) provider(t testing.TB) sso.Provider {
	t.Helper()
	access := sso.Access{Secret: k.secret, Network: oidcclient.Loopback, Transport: k.wire, Now: k.clock.Now}
	if k.access.Now != nil {
		access = k.access
	}
	p, err := sso.NewProvider(&k.def, access)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (k *kit) newEngine(t testing.TB, set *flowdefs.Set) *flows.Engine {
	t.Helper()
	providers := sso.Providers{"corporate": k.provider(t), "other": standing{}.provider()}
	registry, err := flows.NewRegistry(sso.Type(providers, k.links), sso.LinkType(providers, k.links), local())
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(seal.Key{ID: "k", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := flows.NewEngine(flows.EngineConfig{
		Definitions: set, Registry: registry, Store: k.store, Texts: k.store, Sessions: k.store, Throttle: k.store, Marks: k.store,
		Accounts: steps.Accounts(k.people.Accounts), Recorder: k.store, Sealer: sealer, Logger: zap.NewNop(),
		Now: k.clock.Now, DecoyKey: make([]byte, 32), RunTTL: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// talk is an app with one run.
type talk struct {
	k      *kit
	handle flows.Secret
	view   flows.View
}

func (k *kit) start(t testing.TB, q flows.StartRequest) *talk {
	t.Helper()
	if q.ClientID == "" {
		q.ClientID = "app"
	}
	if q.Flow == "" {
		q.Flow = "sign-on"
	}
	v, err := k.engine.Start(t.Context(), flows.Caller{}, q)
	if err != nil {
		t.Fatal(err)
	}
	return &talk{k, v.Handle, v}
}

// asked is what the prompt says.
type asked struct {
	Provider   string            `json:"provider"`
	RequestURI string            `json:"authorizationRequestUri"`
	Endpoint   string            `json:"authorizationEndpoint"`
	Parameters map[string]string `json:"parameters"`
	Redirect   string            `json:"redirectUri"`
	Mode       string            `json:"responseMode"`
	ExpiresAt  time.Time         `json:"expiresAt"`
}

func (tk *talk) asked(t testing.TB) asked {
	t.Helper()
	var a asked
	if tk.view.NextStep == nil {
		t.Fatalf("no step waits: %+v", tk.view.Flow)
	}
	data, err := json.Marshal(tk.view.NextStep.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// visit is Jane with the browser: it returns the query that the app gets.
func (tk *talk) visit(t testing.TB) string {
	t.Helper()
	return tk.k.visit(t, tk.asked(t).RequestURI)
}

func (k *kit) visit(t testing.TB, address string) string {
	t.Helper()
	road := k.road
	if road == nil {
		road = k.wire
	}
	b, err := browser.New(browser.Config{Transport: road, Claimed: func(u *url.URL) bool { return u.Path == "/cb" }})
	if err != nil {
		t.Fatal(err)
	}
	page, err := b.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	who := oidctest.DefaultUser()
	if page.Handed == nil {
		if page, err = page.Submit(t.Context(), "Sign in", map[string]string{"username": who.Username, "password": who.Password}); err != nil {
			t.Fatal(err)
		}
	}
	posts := func() bool { return len(page.Forms) == 1 && page.Forms[0].Has("state") }
	if page.Handed == nil && !posts() {
		if page, err = page.Submit(t.Context(), "Allow", nil); err != nil {
			t.Fatal(err)
		}
	}
	if page.Handed == nil { // a form that a script would send
		if page, err = page.Submit(t.Context(), "Continue", nil); err != nil {
			t.Fatal(err)
		}
		return page.Posted.Encode()
	}
	return page.Handed.RawQuery
}

func body(query string) flows.Input {
	text, _ := json.Marshal(map[string]string{"queryString": query})
	return text
}

// submit answers, and takes over what the answer says.
func (tk *talk) submit(t testing.TB, in flows.Input) error {
	t.Helper()
	v, err := tk.k.engine.Answer(context.WithoutCancel(t.Context()), tk.handle, flows.Caller{}, "sso", tk.view.Flow.Turn, in)
	var p *flows.Problem
	if errors.As(err, &p) && p.View != nil {
		v = *p.View
	}
	if v.Flow.ID != "" {
		tk.view = v
	}
	if v.Handle != "" {
		tk.handle = v.Handle
	}
	return err
}

func (tk *talk) answer(t testing.TB, query string) error {
	t.Helper()
	return tk.submit(t, body(query))
}

// completes signs on with what the run asks for now.
func (tk *talk) completes(t testing.TB) {
	t.Helper()
	if err := tk.answer(t, tk.visit(t)); err != nil {
		t.Fatalf("sign-on: %v", err)
	}
	if tk.view.Flow.Status != flows.Completed {
		t.Fatalf("the run is %s", tk.view.Flow.Status)
	}
}

func (k *kit) wantTokenCalls(t testing.TB, want int) {
	t.Helper()
	if n := k.idp.Calls(oidctest.EndpointToken); n != want {
		t.Errorf("%d token requests, want %d", n, want)
	}
}

// wants checks the class of a problem.
func wants(t testing.TB, err error, kind flows.Kind) {
	t.Helper()
	var p *flows.Problem
	if !errors.As(err, &p) || p.Kind != kind {
		t.Fatalf("got %v, want kind %d", err, kind)
	}
}

// reasons are the reasons of the rejections so far.
func (k *kit) reasons(t testing.TB) []string {
	t.Helper()
	events, _, err := k.store.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range events {
		if e.Type == flows.EventStepRejected {
			all = append(all, e.Reason)
		}
	}
	return all
}

// edited changes parameters of a query; "" removes one.
func edited(t testing.TB, query string, changes ...string) string {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return q.Encode()
}

// standing is a provider that only asks.
type standing struct{ sso.Client }

func (standing) AuthorizationRequest(context.Context, oidcclient.RequestOptions) (oidcclient.Authorization, error) {
	return oidcclient.Authorization{URL: "https://other.example/authorize"}, nil
}

func (s standing) provider() sso.Provider { return sso.Provider{Client: s} }
