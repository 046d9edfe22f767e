package sso_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/steps/sso"
)

// remote is a provider that counts what it is asked, and fails if told to.
type remote struct {
	sso.Client

	mu                 sync.Mutex
	refreshed, revoked int
	fails              error
	meanwhile          func()
}

func (r *remote) Refresh(_ context.Context, t oidcclient.Tokens) (oidcclient.Tokens, error) {
	r.mu.Lock()
	r.refreshed++
	meanwhile := r.meanwhile
	r.meanwhile = nil
	r.mu.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	t.Access, t.Refresh, t.Expires = t.Access+"+", t.Refresh+"+", t.Expires.Add(10*time.Minute)
	return t, r.fails
}

func (r *remote) Revoke(context.Context, oidcclient.Tokens) error {
	r.mu.Lock()
	r.revoked++
	meanwhile, fails := r.meanwhile, r.fails
	r.meanwhile = nil
	r.mu.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	return fails
}

func (r *remote) EndSession(_ context.Context, t oidcclient.Tokens, back string) (string, string, error) {
	return "https://idp.example/out?" + t.ID + t.Subject + back, "state", r.fails
}

// vault is a keeper of tokens with its surroundings.
type vault struct {
	*sso.Keeper

	store  *memory.Store
	sealer *seal.Sealer
	remote *remote
	now    time.Time
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{store: memory.New(), remote: &remote{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	if v.sealer, err = seal.New(seal.Key{ID: "k", Secret: make([]byte, seal.KeySize)}); err != nil {
		t.Fatal(err)
	}
	v.Keeper = v.another(t)
	return v
}

// another is a keeper on another node.
func (v *vault) another(t *testing.T) *sso.Keeper {
	t.Helper()
	k, err := sso.NewKeeper(sso.KeeperConfig{
		Find: sso.Providers{"corporate": {Name: "corporate", Client: v.remote, SignsOut: true}}.Find,
		Kept: v.store, Marks: v.store, Sealer: v.sealer, Recorder: v.store, Now: func() time.Time { return v.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keep keeps tokens for a session that there is.
func (v *vault) keep(t *testing.T, tokens oidcclient.Tokens) {
	t.Helper()
	k := flows.Kept{ID: "tokens", Version: 1, Owner: "session", Provider: "corporate"}
	plain, err := json.Marshal(tokens)
	if err == nil {
		k.Data, err = v.sealer.Seal(plain, flows.KeptAAD(k))
	}
	if err == nil {
		err = v.store.PutKept(t.Context(), k)
	}
	if err == nil {
		err = v.store.PutSession(t.Context(), flows.Session{ID: "session", Expires: v.now.Add(time.Hour)})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (v *vault) events(t *testing.T, kind string) int {
	t.Helper()
	all, _, err := v.store.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range all {
		if e.Type == kind && e.Step == "corporate" {
			n++
		}
	}
	return n
}

func (v *vault) revoke(t *testing.T, want int) {
	t.Helper()
	if n, err := v.Revoke(t.Context()); n != want || want > 0 && err != nil {
		t.Errorf("%d are done with, %v; want %d", n, err, want)
	}
}

var both = oidcclient.Tokens{Subject: "jane", ID: "hint", Access: "a", Refresh: "r"}

// A provider that cannot be told is told again, less and less often, and given up at last.
func TestRevokedLater(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, both)
	v.revoke(t, 0)
	if v.remote.revoked != 0 {
		t.Fatal("tokens of a session that goes on were revoked")
	}
	if err := v.store.EndSession(t.Context(), "session"); err != nil {
		t.Fatal(err)
	}
	v.remote.fails = oidcclient.ErrUnavailable
	v.revoke(t, 0)
	v.revoke(t, 0)
	if v.remote.revoked != 1 {
		t.Errorf("told %d times at once", v.remote.revoked)
	}
	for v.events(t, flows.EventTokensLeft) == 0 {
		v.now = v.now.Add(time.Hour)
		_, _ = v.Revoke(t.Context())
		if v.remote.revoked > 100 {
			t.Fatal("it never gives up")
		}
	}
	if v.remote.revoked < 40 {
		t.Errorf("given up after %d times", v.remote.revoked)
	}
	if left, err := v.store.KeptBy(t.Context(), "session"); len(left) != 0 || err != nil {
		t.Errorf("%d left, %v", len(left), err)
	}
}

func TestRevokedByOne(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, both)
	v.now = v.now.Add(2 * time.Hour) // the session has expired
	v.remote.fails = oidcclient.ErrUnavailable
	v.revoke(t, 0)
	v.now = v.now.Add(time.Minute)
	v.remote.fails = nil
	other := v.another(t)
	v.remote.meanwhile = func() {
		if n, err := other.Revoke(t.Context()); n != 0 || err != nil {
			t.Errorf("another node: %d, %v", n, err)
		}
	}
	v.revoke(t, 1)
	if v.remote.revoked != 2 || v.events(t, flows.EventTokensRevoked) != 1 {
		t.Errorf("told %d times, %d events", v.remote.revoked, v.events(t, flows.EventTokensRevoked))
	}
}

// An ID token that was kept as a hint is no access: nobody has to be told.
func TestHintIsForgotten(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, oidcclient.Tokens{Subject: "jane", ID: "hint"})
	v.now = v.now.Add(2 * time.Hour)
	v.revoke(t, 1)
	if left, _ := v.store.KeptBy(t.Context(), "session"); len(left) != 0 || v.remote.revoked != 0 {
		t.Errorf("%d left, told %d times", len(left), v.remote.revoked)
	}
}

// While one node refreshes, another does not: it says that it cannot for now.
func TestRefreshedByOneNode(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, oidcclient.Tokens{Access: "a", Refresh: "r", Expires: v.now.Add(29 * time.Second)})
	who := flows.Identity{Session: "session", Run: "run", Provider: "corporate", Now: v.now}
	other := v.another(t)
	v.remote.meanwhile = func() {
		if _, err := other.Propagate(t.Context(), who); !errors.Is(err, flows.ErrUnavailable) {
			t.Errorf("another node: %v", err)
		}
	}
	for range 2 {
		g, err := v.Propagate(t.Context(), who)
		if err != nil || g.Token != "a+" || g.Scheme != "Bearer" || g.Type != "provider_token" || !g.Expires.After(v.now) {
			t.Errorf("%+v, %v", g, err)
		}
	}
	if g, err := other.Propagate(t.Context(), who); err != nil || g.Token != "a+" || v.remote.refreshed != 1 {
		t.Errorf("%+v, %v after %d times", g, err, v.remote.refreshed)
	}
}

// Tokens belong to their session and provider.
func TestTokensOfSomebodyElse(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, both)
	for name, who := range map[string]flows.Identity{
		"another session":  {Session: "other", Run: "run", Provider: "corporate"},
		"another provider": {Session: "session", Run: "run", Provider: "partner"},
	} {
		if g, err := v.Propagate(t.Context(), who); err == nil || g.Token != "" {
			t.Errorf("%s: %+v", name, g)
		}
	}
	moved := flows.Kept{ID: "moved", Version: 1, Owner: "thief", Provider: "corporate"}
	all, err := v.store.KeptBy(t.Context(), "session")
	if err != nil {
		t.Fatal(err)
	}
	moved.Data = all[0].Data
	if err := v.store.PutKept(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	if g, err := v.Propagate(t.Context(), flows.Identity{Session: "thief", Provider: "corporate"}); err == nil {
		t.Errorf("what was sealed for another record opens: %+v", g)
	}
}

// A session that rests on two providers has the tokens of each apart.
func TestTokensOfAnotherProvider(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, both)
	k, err := sso.NewKeeper(sso.KeeperConfig{
		Find: sso.Providers{"partner": {Name: "partner", Client: v.remote}}.Find,
		Kept: v.store, Marks: v.store, Sealer: v.sealer, Recorder: v.store, Now: func() time.Time { return v.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if g, err := k.Propagate(t.Context(), flows.Identity{Session: "session", Provider: "partner"}); !errors.Is(err, flows.ErrSignOnAgain) {
		t.Errorf("%+v, %v", g, err)
	}
}

// Where people sign out follows from what the session rests on.
func TestDepart(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, both)
	at := func(provider string) flows.Session {
		return flows.Session{ID: "session", Evidence: []assurance.Evidence{{}, {Upstream: &assurance.Upstream{Provider: provider, Subject: "jane"}}}}
	}
	client := flowdefs.Client{SignedOutURI: "com.app:/out"}
	to, err := v.Depart(t.Context(), at("corporate"), client)
	if err != nil || to == nil || to.EndSessionURI != "https://idp.example/out?hintjanecom.app:/out" || to.State != "state" {
		t.Errorf("%+v, %v", to, err)
	}
	for _, s := range []flows.Session{at("partner"), at(""), {ID: "session"}} {
		if to, err := v.Depart(t.Context(), s, client); to != nil || err != nil {
			t.Errorf("%+v, %v", to, err)
		}
	}
	other := at("corporate")
	other.ID = "other" // whose tokens were not kept
	if to, err := v.Depart(t.Context(), other, client); err != nil || to.EndSessionURI != "https://idp.example/out?janecom.app:/out" {
		t.Errorf("%+v, %v", to, err)
	}
}

// A run that completes while its tokens are refreshed gives them to the session: what is
// stored there at the end is what is good, and not what was spent.
func TestRefreshedWhileTheRunCompletes(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, oidcclient.Tokens{Access: "a", Refresh: "r", Expires: v.now.Add(29 * time.Second)})
	move := func(from, to string) {
		all, err := v.store.KeptBy(t.Context(), from)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		all[0].Owner, all[0].Version = to, all[0].Version+1
		if err := v.store.UpdateKept(t.Context(), all[0]); err != nil {
			t.Fatal(err)
		}
	}
	move("session", "run")
	who := flows.Identity{Session: "session", Run: "run", Provider: "corporate", Now: v.now}
	v.remote.meanwhile = func() { move("run", "session") }
	for range 2 {
		if g, err := v.Propagate(t.Context(), who); err != nil || g.Token != "a+" || v.remote.refreshed != 1 {
			t.Errorf("%+v, %v after %d times", g, err, v.remote.refreshed)
		}
	}
}

// Tokens that are nobody's any more are not those of a run that leaves no session.
func TestNobodysTokens(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	v.keep(t, both)
	all, err := v.store.KeptBy(t.Context(), "session")
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	all[0].Owner, all[0].Version = "", all[0].Version+1
	if err := v.store.UpdateKept(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	if g, err := v.Propagate(t.Context(), flows.Identity{Run: "run", Provider: "corporate", Now: v.now}); !errors.Is(err, flows.ErrSignOnAgain) {
		t.Errorf("somebody else's: %+v, %v", g, err)
	}
}
