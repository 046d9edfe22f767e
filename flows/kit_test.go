package flows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/flows/store/sqlite"
)

// kit is an engine on a real store with step types whose answers are easy to make.
type kit struct {
	t      testing.TB
	engine *flows.Engine
	ports  ports
	clock  *clock
	people *people
	tokens *tokens
	events *ledger
	config flows.EngineConfig
	mails  *mails

	there    flows.ProviderSession // the session at the provider that a sign-on there rests on
	down     bool                  // the provider cannot be asked
	upstream time.Time             // when the provider says that the person authenticated
}

// ports is what every store driver offers.
type ports interface {
	flows.Store
	flows.Texts
	flows.Sessions
	flows.Throttle
	flows.Marks
	flows.Recorder
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); c.at = c.at.Add(d); c.mu.Unlock() }

// people is a little directory.
type people struct {
	mu        sync.Mutex
	accounts  map[string]flows.Account
	activated []string
	disabled  []string
	fail      error
}

func (p *people) Account(_ context.Context, subject string) (flows.Account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.accounts[subject]
	if p.fail != nil {
		return flows.Account{}, p.fail
	}
	if !ok {
		return flows.Account{}, flows.ErrNotFound
	}
	a.Authenticators = slices.Clone(a.Authenticators)
	return a, nil
}

func (p *people) Resolve(ctx context.Context, identifier string) (string, string, error) {
	canonical := strings.ToLower(strings.TrimSpace(identifier))
	a, err := p.Account(ctx, "sub-"+canonical)
	if errors.Is(err, flows.ErrNotFound) {
		err = nil
	}
	return a.Subject, canonical, err
}

func (p *people) Activate(_ context.Context, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.activated = append(p.activated, id)
	return p.fail
}

func (p *people) Disable(_ context.Context, id string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disabled = append(p.disabled, id)
	return p.fail
}

func (p *people) change(subject string, f func(*flows.Account)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.accounts[subject]
	f(&a)
	p.accounts[subject] = a
}

func person(name string, status flows.AccountStatus, types ...string) flows.Account {
	a := flows.Account{Subject: "sub-" + name, Status: status, Attributes: map[string]string{"branch": "Zurich"}}
	for _, t := range types {
		a.Authenticators = append(a.Authenticators, flows.Authenticator{ID: name + "-" + t, Type: t, Binding: assurance.AAL2})
	}
	return a
}

// tokens is a propagator that remembers what it was asked for.
type tokens struct {
	mu  sync.Mutex
	got []flows.Identity
	err error
}

func (p *tokens) Propagate(_ context.Context, id flows.Identity) (flows.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return flows.Grant{}, p.err
	}
	p.got = append(p.got, id)
	return flows.Grant{Type: "bearer_jwt", Token: fmt.Sprintf("token-canary-%d", len(p.got)), Scheme: "Bearer", Expires: id.Now.Add(time.Minute)}, nil
}

func (p *tokens) all() []flows.Identity { p.mu.Lock(); defer p.mu.Unlock(); return slices.Clone(p.got) }

// mails is an outbox that keeps each message once.
type mails struct {
	mu   sync.Mutex
	seen map[string]bool
	got  []flows.Message
	err  error
	lost bool // what it takes over dies with it
}

func (m *mails) Put(_ context.Context, key string, msg flows.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && !m.seen[key] && !m.lost {
		m.seen[key] = true
		m.got = append(m.got, msg)
	}
	return m.err
}

func (m *mails) Delivered(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[key], m.err
}

// to lists whom something was sent to.
func (m *mails) to() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, msg := range m.got {
		out = append(out, msg.To)
	}
	return out
}

func (m *mails) lose(all bool) { m.mu.Lock(); m.lost = all; m.mu.Unlock() }

func (m *mails) fail(err error) { m.mu.Lock(); m.err = err; m.mu.Unlock() }

// ledger records each event once.
type ledger struct {
	mu     sync.Mutex
	seen   map[string]bool
	events []flows.Event
	err    error
}

func (l *ledger) Record(_ context.Context, events ...flows.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	for _, e := range events {
		if !l.seen[e.ID] {
			l.seen[e.ID] = true
			l.events = append(l.events, e)
		}
	}
	return nil
}

func (l *ledger) fail(err error) { l.mu.Lock(); l.err = err; l.mu.Unlock() }

func (l *ledger) all() []flows.Event { l.mu.Lock(); defer l.mu.Unlock(); return slices.Clone(l.events) }

// embedded opens each kind of store that needs no server. What is opened is closed when its test ends,
// or, for a property, its run: thousands of them would run out of open files.
var embedded = map[string]func(testing.TB, cleaner) ports{
	"memory": func(testing.TB, cleaner) ports { return memory.New() },
	"sqlite": func(t testing.TB, c cleaner) ports {
		s, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "stile.db"), Durability: "normal"})
		if err != nil {
			t.Fatal(err)
		}
		c.Cleanup(func() { _ = s.Close() })
		return s
	},
}

type cleaner interface{ Cleanup(func()) }

const clients = `
providers:
  one: { issuer: "https://one.example", client_id: c, domains: [one.example, xn--mller-kva.example] }
  two: { issuer: "https://two.example", client_id: c, domains: [two.example] }
clients:
  app: { flows: [f], targets: [t], redirect_uris: ["com.app.test:/cb"], dpop: optional }
  narrow: { flows: [f], redirect_uris: ["com.app.test:/cb"], dpop: optional }
  bound: { flows: [f], targets: [t], redirect_uris: ["com.app.test:/cb"], dpop: required }
  paged: { flows: [f], targets: [t], redirect_uris: ["com.app.test:/cb"], dpop: optional, hand_over: web }
`

// definitions makes the text of one flow f and a target t of it.
func definitions(steps, requires string) string {
	return "flows:\n  f:\n    steps:\n" + steps + "targets:\n  t:\n    flow: f\n    requires: " + requires +
		"\n    propagate: { type: bearer_jwt, audience: \"https://t.example\", ttl: 5m }\n" + clients
}

func newKit(t testing.TB, text string) *kit { return newKitOn(t, text, memory.New()) }

func newKitOn(t testing.TB, text string, st ports) *kit {
	t.Helper()
	k := &kit{
		t: t, ports: st, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, tokens: &tokens{},
		mails:  &mails{seen: map[string]bool{}},
		people: &people{accounts: map[string]flows.Account{}}, events: &ledger{seen: map[string]bool{}},
	}
	for _, a := range []flows.Account{
		person("jane", flows.AccountActive, "secret", "code"), person("bob", flows.AccountActive, "secret", "code"),
		person("bare", flows.AccountActive, "secret"), person("gone", flows.AccountDisabled, "secret", "code"),
	} {
		k.people.accounts[a.Subject] = a
	}
	k.engine = k.another(text)
	return k
}

// another makes one more engine on the same store, clock and people: another node, or a restart.
func (k *kit) another(text string) *flows.Engine {
	k.t.Helper()
	reg, err := flows.NewRegistry(k.types()...)
	if err != nil {
		k.t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"d/f.yaml": {Data: []byte(text)}}, "d", reg)
	if err != nil {
		k.t.Fatalf("definitions do not load: %v\n%s", err, text)
	}
	sealer, err := seal.New(seal.Key{ID: "k1", Secret: make([]byte, 32)})
	if err != nil {
		k.t.Fatal(err)
	}
	k.config = flows.EngineConfig{
		Definitions: set, Registry: reg, Store: k.ports, Texts: k.ports, Sessions: k.ports, Throttle: k.ports, Marks: k.ports,
		Accounts: k.people, Recorder: k.events, Sealer: sealer, Logger: zap.NewNop(), Now: k.clock.now,
		Propagators: map[string]flows.Propagator{"bearer_jwt": k.tokens, "one_time_code": k.tokens}, DecoyKey: make([]byte, 32), Outbox: k.mails,
		Budget: flows.Budget{PerAccount: 5, PerDestination: 6, Window: time.Hour}, HandoverURL: "https://stile.example/handover",
		LinkURL: "https://stile.example/link",
	}
	e, err := flows.NewEngine(k.config)
	if err != nil {
		k.t.Fatal(err)
	}
	return e
}

// fake is a step whose answer is {"answer": "...", "user": "..."}.
type fake struct {
	k   *kit
	typ string
}

type fakeAnswer struct {
	Answer string `json:"answer"`
	User   string `json:"user,omitempty"`
}

func (f fake) Claim(in flows.Input) (string, error) {
	var a fakeAnswer
	if err := in.Decode(&a); err != nil {
		return "", err
	}
	if f.typ != "secret" && f.typ != "who" {
		return "", nil
	}
	return a.User, nil
}

func (f fake) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if f.typ == "mail" {
		return f.send(ctx, v)
	}
	if f.typ == "sso" && f.k.down {
		return flows.Outcome{}, fmt.Errorf("%w: test", flows.ErrUnavailable)
	}
	return flows.Ask(flows.Prompt{Data: map[string]int{"visit": v.Attempt}}), nil
}

var errBroken = errors.New("broken")

func (f fake) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a fakeAnswer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	switch a.Answer {
	case "down":
		return flows.Outcome{}, fmt.Errorf("%w: test", flows.ErrUnavailable)
	case "bug":
		return flows.Outcome{}, errBroken
	case "more": // more than the step type may prove
		return flows.Pass(flows.Proof{Subject: v.Claimed, Evidence: assurance.Evidence{
			Method: assurance.DeviceKey, Categories: []assurance.Category{assurance.Possession, assurance.Inherence},
			Binding: assurance.AAL3, Cap: assurance.AAL3, PhishingResistant: true, HardwareBound: true, UserVerified: true,
		}}), nil
	case "own": // the authenticator that this run enrolled
		if f.typ != "code" {
			return flows.Reject("wrong", nil), nil
		}
		return flows.Pass(flows.Proof{Evidence: f.evidence("new-key")}), nil
	case "replayed":
		return flows.Reject("replayed", nil), nil
	case "denied":
		return flows.Exit("denied"), nil
	case "exit":
		return flows.Exit("undeclared"), nil
	case "remove":
		return flows.Removed(flows.Authenticator{ID: "jane-code", Type: "code"}), nil
	case "enrol":
		return flows.Enrolled("anything"), nil
	case "disable me":
		f.k.people.change(v.Subject, func(acc *flows.Account) { acc.Status = flows.AccountDisabled })
	}
	if f.typ == "code" && a.Answer == "approve" { // a step that shows nothing says that something was signed
		out, err := f.approve(v, "ok")
		return out, err
	}
	switch f.typ {
	case "replace":
		return flows.Enrolled("jane-code"), nil
	case "bind":
		f.k.people.change(v.Subject, func(acc *flows.Account) {
			acc.Authenticators = append(acc.Authenticators, flows.Authenticator{ID: "new-key", Type: "code", Binding: v.Level, Key: v.Key})
		})
		return flows.Enrolled("new-key"), nil
	case "note", "who":
		return flows.Done(), nil
	case "tell":
		return f.tell(a), nil
	case "remove":
		return flows.Removed(flows.Authenticator{ID: "jane-code", Type: "code"}), nil
	case "approve":
		return f.approve(v, a.Answer)
	case "sso":
		if a.Answer == "by address" {
			return flows.Pass(flows.Proof{Subject: "sub-" + a.User, Evidence: f.evidence("https://idp " + a.User), Bound: "identity"}), nil
		}
		if a.User == "" || a.Answer != "ok" {
			return flows.Reject("wrong", nil), nil
		}
		return flows.Pass(flows.Proof{Subject: "sub-" + a.User, Evidence: f.evidence("https://idp " + a.User)}), nil
	}
	acc, err := f.k.people.Account(ctx, v.Claimed)
	if err != nil && !errors.Is(err, flows.ErrNotFound) {
		return flows.Outcome{}, err
	}
	for _, au := range acc.Authenticators {
		if (au.Type == f.typ || f.typ == "mail" && au.Type == "secret") && (a.Answer == "ok" || a.Answer == "weak") {
			ev := f.evidence(au.ID)
			ev.Binding = au.Binding
			if a.Answer == "weak" { // less than the account promised
				ev.Binding = assurance.AAL1
			}
			return flows.Pass(flows.Proof{Evidence: ev}), nil
		}
	}
	if f.typ == "mail" {
		return flows.Reject("wrong", nil), nil
	}
	return flows.Reject("wrong", &flows.Prompt{Data: map[string]int{"visit": v.Attempt}}), nil
}

// approve knows ok; other: approves another transaction; nothing: passes without having approved.
func (f fake) approve(v *flows.Visit, how string) (flows.Outcome, error) {
	shown := v.Transaction
	if how == "other" {
		shown["amount"] = "1000000"
	}
	a, err := flows.NewApproval("pay", "en", "Pay "+shown["amount"], shown)
	p := flows.Proof{Evidence: f.evidence("jane-code"), Approved: &a}
	if how == "nothing" {
		p.Approved = nil
	}
	return flows.Pass(p), err
}

// send sends to the claimed account's address; two people share one.
func (f fake) send(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	to := strings.TrimPrefix(v.Claimed, "sub-")
	if to == "bob" || to == "bare" {
		to = "shared"
	}
	uri, _, err := v.Link(v.Now.Add(linkLife))
	if err != nil {
		return flows.Outcome{}, err
	}
	d, err := v.Send(ctx, flows.Message{Channel: "email", To: to, Template: "t", Expires: v.Now.Add(linkLife), Args: map[string]string{"link": uri}})
	data := map[string]any{"sent": d.Sent}
	if !d.Again.IsZero() {
		data["again"] = int(d.Again.Sub(v.Now) / time.Second)
	}
	return flows.Ask(flows.Prompt{Data: data}), err
}

const linkLife = time.Minute

// Confirmed shows a code that nobody asks for: what the fake step takes is ok.
func (f fake) Confirmed(_ context.Context, v *flows.Visit, _ flows.Secret) (flows.Prompt, flows.Secret, error) {
	return flows.Prompt{Data: map[string]any{"confirmed": true}}, "12345678", v.Keep("confirmed")
}

func (f fake) evidence(id string) assurance.Evidence {
	e := assurance.Evidence{Authenticator: id, Binding: assurance.AAL3, Cap: assurance.AAL3}
	switch f.typ {
	case "secret", "mail":
		e.Method, e.Categories = assurance.Password, []assurance.Category{assurance.Knowledge}
	case "code", "approve":
		e.Method, e.Categories, e.ReplayResistant = assurance.TOTP, []assurance.Category{assurance.Possession}, true
	case "sso":
		e.Method, e.Categories, e.Cap = assurance.Federated, []assurance.Category{assurance.Knowledge}, assurance.AAL2
		e.Upstream = &assurance.Upstream{AuthTime: f.k.upstream}
		if s := f.k.there; s.Provider != "" {
			e.Upstream.Provider, e.Upstream.Issuer, e.Upstream.Subject = s.Provider, s.Issuer, s.Subject
			e.Upstream.Session, e.Upstream.Began = flows.SessionDigest(s.ID), f.k.clock.now()
		}
	}
	return e
}

// typed are the steps that a page can draw.
var typed = []string{"code", "mail", "note", "secret"}

func (k *kit) types() []flows.StepType {
	ceil := func(m assurance.Method, replay bool, c assurance.Category) []assurance.Ceiling {
		return []assurance.Ceiling{{Method: m, Categories: []assurance.Category{c}, ReplayResistant: replay}}
	}
	base := map[string]flows.StepType{
		"secret":  {Authenticator: "secret", Guessable: true, Evidence: ceil(assurance.Password, false, assurance.Knowledge)},
		"code":    {Authenticator: "code", Guessable: true, Evidence: ceil(assurance.TOTP, true, assurance.Possession)},
		"sso":     {Evidence: ceil(assurance.Federated, true, assurance.Knowledge)},
		"bind":    {Enrols: true},
		"remove":  {Removes: true, NeedsSubject: true},
		"replace": {Enrols: true, NeedsSubject: true, EndsSessions: true},
		"note":    {},
		"who":     {Names: true},
		"device":  {NeedsDevice: true},
		"approve": {
			Authenticator: "code", Evidence: ceil(assurance.TOTP, true, assurance.Possession),
			Transaction: func(flowdefs.Config) []string { return []string{"amount", "payee"} },
		},
		"tell": {Assigns: func(flowdefs.Config) []string { return []string{"tier"} }},
		"mail": {Sends: true, Links: true, Authenticator: "secret", Guessable: true, Evidence: ceil(assurance.Password, false, assurance.Knowledge)},
	}
	var out []flows.StepType
	for _, name := range slices.Sorted(maps.Keys(base)) {
		t := base[name]
		t.Name, t.Doc, t.Code = name, "Test step.\n\nA step of the tests.", "X_"+map[string]string{
			"secret": "SECRET", "code": "CODE", "sso": "SSO", "bind": "BIND", "note": "NOTE", "device": "DEVICE", "mail": "MAIL", "who": "WHO", "approve": "APPROVE", "remove": "REMOVE", "replace": "REPLACE", "tell": "TELL",
		}[name]+"_REQUIRED"
		t.Exits = []string{"denied"}
		t.Typed = slices.Contains(typed, name)
		t.New = func(cfg flowdefs.Config) (flows.Step, error) { return fake{k, name}, cfg.Decode(&struct{}{}) }
		if name == "sso" {
			t.Config, t.Provider = flowdefs.SchemaFor[realm](), realmOf
			t.New = func(cfg flowdefs.Config) (flows.Step, error) { return fake{k, name}, cfg.Decode(&realm{}) }
		}
		out = append(out, t)
	}
	return out
}

// realm is where the step "sso" of the tests sends people.
type realm struct {
	Provider string `yaml:"provider,optional" ref:"provider"`
}

func realmOf(cfg flowdefs.Config) string {
	var r realm
	_ = cfg.Decode(&r)
	return r.Provider
}

func in(answer, user string) flows.Input {
	b, _ := json.Marshal(fakeAnswer{Answer: answer, User: user})
	return b
}

// talk is a client with one run.
type talk struct {
	k      *kit
	e      *flows.Engine
	caller flows.Caller
	handle flows.Secret
	view   flows.View
}

func (k *kit) start(q flows.StartRequest, c flows.Caller) (*talk, error) {
	v, err := k.engine.Start(context.Background(), c, q)
	return &talk{k: k, e: k.engine, caller: flows.Caller{Key: c.Key}, handle: v.Handle, view: v}, err
}

func (k *kit) must(q flows.StartRequest) *talk {
	k.t.Helper()
	if q.ClientID == "" {
		q.ClientID = "app"
	}
	tk, err := k.start(q, flows.Caller{})
	if err != nil {
		k.t.Fatalf("start: %v", err)
	}
	return tk
}

// say answers the current step and takes over what the answer says.
func (tk *talk) say(answer, user string) error {
	return tk.answer(tk.view.NextStep.StepID, tk.view.Flow.Turn, in(answer, user))
}

// answer answers a step: on a page if the prompt was handed over to one.
func (tk *talk) answer(step string, turn int, body flows.Input) error {
	if n := tk.view.NextStep; n != nil && n.Type == flows.CodeHandover && n.StepID == step && turn == tk.view.Flow.Turn {
		query, err := tk.onPage(body)
		if err != nil {
			return err
		}
		body = query
	}
	return tk.send(step, turn, body)
}

var errMoved = errors.New("the run has moved on")

// link hands the prompt over and returns the secret of the link.
func (tk *talk) link() (flows.Secret, error) {
	v, err := tk.e.HandOver(context.Background(), tk.handle, tk.caller, tk.view.Flow.Turn)
	if err := tk.take(v, err); err != nil {
		return "", err
	}
	if v.NextStep == nil || v.NextStep.Type != flows.CodeHandover {
		return "", errMoved
	}
	var d struct{ URI string }
	data, err := json.Marshal(v.NextStep.Data)
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err == nil && d.URI == "" { // another prompt for a page
		err = errMoved
	}
	return flows.Secret(strings.TrimPrefix(d.URI, tk.k.config.HandoverURL+"/")), err
}

// onPage types an answer on the page of the prompt, and returns what the client then sends.
func (tk *talk) onPage(body flows.Input) (flows.Input, error) {
	link, err := tk.link()
	if err != nil {
		return nil, err
	}
	page, err := tk.e.OpenLink(context.Background(), link, "")
	if err != nil {
		return nil, err
	}
	redirect, err := tk.e.AnswerPage(context.Background(), page, tk.view.Flow.Turn, body, "")
	if err != nil {
		return nil, err
	}
	_, query, _ := strings.Cut(redirect, "?")
	return json.Marshal(map[string]string{"queryString": query})
}

func (tk *talk) send(step string, turn int, body flows.Input) error {
	v, err := tk.e.Answer(context.Background(), tk.handle, tk.caller, step, turn, body)
	return tk.take(v, err)
}

func (tk *talk) take(v flows.View, err error) error {
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

func (tk *talk) ok(answer, user string) {
	tk.k.t.Helper()
	if err := tk.say(answer, user); err != nil {
		tk.k.t.Fatalf("answer %q: %v", answer, err)
	}
}

// wants checks that err is a problem of that kind and code.
func wants(t testing.TB, err error, kind flows.Kind, code string) *flows.Problem {
	t.Helper()
	var p *flows.Problem
	if !errors.As(err, &p) || p.Kind != kind || p.Code != code {
		t.Fatalf("got %v, want kind %d code %s", err, kind, code)
	}
	return p
}

func (k *kit) count(typ string) int {
	n := 0
	for _, e := range k.events.all() {
		if e.Type == typ {
			n++
		}
	}
	return n
}
