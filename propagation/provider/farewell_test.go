package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/propagation/provider"
)

// goodbye is a store with what sessions that have ended have left, and who tells of it.
type goodbye struct {
	t       *testing.T
	store   *memory.Store
	sealer  *seal.Sealer
	now     time.Time
	clients map[string]string // id to where it is told
	cfg     provider.FarewellConfig
}

func newGoodbye(t *testing.T) *goodbye {
	t.Helper()
	g := &goodbye{t: t, store: memory.New(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), clients: map[string]string{}}
	var err error
	if g.sealer, err = seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)}); err != nil {
		t.Fatal(err)
	}
	g.cfg = provider.FarewellConfig{
		Find: func(_ context.Context, id string) (flows.Found, error) {
			to, ok := g.clients[id]
			if !ok {
				return flows.Found{}, flows.ErrNotFound
			}
			return flows.Found{Client: &flowdefs.Client{ID: id, OAuth: &flowdefs.OAuth{BackChannel: to}}}, nil
		},
		Sign: func(_ context.Context, client, subject, session string, _ time.Time) (string, error) {
			return client + " " + subject + " " + session, nil
		},
		Kept: g.store, Marks: g.store, Sealer: g.sealer, Recorder: g.store, Via: http.DefaultTransport, Now: func() time.Time { return g.now },
	}
	return g
}

// left is a session that has ended, with a relying party.
func (g *goodbye) left(client, session string) {
	g.t.Helper()
	k := flows.Kept{ID: client + session, Version: 1, Owner: session, Provider: "relying party " + client}
	plain, err := json.Marshal(flows.Party{Client: client, Subject: "jane", Session: session, Expires: g.now.Add(time.Hour)})
	if err == nil {
		k.Data, err = g.sealer.Seal(plain, flows.KeptAAD(k))
	}
	if err == nil {
		err = g.store.PutKept(g.t.Context(), k)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *goodbye) tell() (int, error) {
	g.t.Helper()
	f, err := provider.NewFarewell(g.cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	return f.Tell(g.t.Context())
}

// told are the audit events, as "type client".
func (g *goodbye) told() (out []string) {
	g.t.Helper()
	all, _, err := g.store.Events(g.t.Context(), 0, 1000)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, e := range all {
		out = append(out, e.Type+" "+e.Client)
	}
	slices.Sort(out)
	return out
}

// hears is a relying party that answers with that status.
func (g *goodbye) hears(client string, status int) *[]string {
	g.t.Helper()
	var mu sync.Mutex
	var heard []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, r.PostFormValue("logout_token"))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	g.t.Cleanup(s.Close)
	g.clients[client] = s.URL
	return &heard
}

// What could not be told is told again, later and later, until it is taken; meanwhile it is in the store.
func TestFarewellIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusInternalServerError, http.StatusFound, http.StatusTemporaryRedirect} {
		g := newGoodbye(t)
		heard := g.hears("shop", status)
		g.left("shop", "s1")
		for i := range 4 {
			if n, err := g.tell(); n != 0 || err == nil || len(*heard) != i+1 {
				t.Fatalf("%d: told %d, %v; it has heard %d", status, n, err, len(*heard))
			}
			if n, err := g.tell(); n != 0 || err != nil || len(*heard) != i+1 {
				t.Fatalf("%d: at once again: %d, %v", status, n, err)
			}
			g.now = g.now.Add(30 * time.Second << i)
		}
		if len(g.told()) > 0 {
			t.Errorf("%v", g.told())
		}
		taken := g.hears("shop", http.StatusNoContent)
		if n, err := g.tell(); n != 1 || err != nil || !slices.Equal(*taken, []string{"shop jane s1"}) {
			t.Errorf("%d: told %d, %v: %v", status, n, err, *taken)
		}
		if n, err := g.tell(); n != 0 || err != nil || len(*taken) != 1 {
			t.Errorf("told twice: %v", *taken)
		}
		if got := g.told(); !slices.Equal(got, []string{"logout_told shop"}) {
			t.Errorf("%v", got)
		}
	}
}

// After about two days nobody tries any more, and that is recorded.
func TestFarewellIsGivenUp(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	heard := g.hears("shop", http.StatusInternalServerError)
	g.left("shop", "s1")
	began := g.now
	for len(g.told()) == 0 {
		_, _ = g.tell()
		if g.now = g.now.Add(time.Hour); g.now.Sub(began) > 100*time.Hour {
			t.Fatal("it never ends")
		}
	}
	if got := g.told(); !slices.Equal(got, []string{"logout_untold shop"}) || g.now.Sub(began) < 40*time.Hour || len(*heard) < 40 {
		t.Errorf("%v after %s and %d attempts", got, g.now.Sub(began), len(*heard))
	}
}

// One that does not answer holds up nobody else.
func TestFarewellOfOthersGoesOn(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	quick, release := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		<-quick // it answers when the other one has been told
		<-release
	}))
	defer slow.Close()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(quick); close(release) }))
	defer other.Close()
	g.clients["slow"], g.clients["quick"] = slow.URL, other.URL
	for i := range 3 {
		g.left("slow", fmt.Sprint("s", i))
	}
	g.left("quick", "s1")
	if n, err := g.tell(); n != 4 || err != nil {
		t.Errorf("told %d, %v", n, err)
	}
}

// One that fails is not asked for the rest of its sessions at once.
func TestFarewellSparesWhoFails(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	heard := g.hears("shop", http.StatusServiceUnavailable)
	for i := range 5 {
		g.left("shop", fmt.Sprint("s", i))
	}
	if n, err := g.tell(); n != 0 || err == nil || len(*heard) != 1 {
		t.Errorf("told %d, %v; asked %d times", n, err, len(*heard))
	}
	ok := g.hears("shop", http.StatusOK)
	g.now = g.now.Add(time.Minute)
	if n, err := g.tell(); n != 5 || err != nil || len(*ok) != 5 {
		t.Errorf("then told %d, %v", n, err)
	}
}

// One that is slow, and fails at nothing, takes some seconds of a round: the others wait for its end.
func TestFarewellBoundsWhoIsSlow(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	var mu sync.Mutex
	g.cfg.Now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return g.now
	}
	began := g.now
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		g.now = g.now.Add(4 * time.Second)
	}))
	defer slow.Close()
	g.clients["slow"] = slow.URL
	for i := range 50 {
		g.left("slow", fmt.Sprint("s", i))
	}
	if n, err := g.tell(); n == 0 || err != nil || g.now.Sub(began) > 10*time.Second {
		t.Errorf("told %d in %s, %v", n, g.now.Sub(began), err)
	}
}

// Many sessions that ended at one relying party keep nobody else's from being looked at.
func TestFarewellIsSharedOut(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	heard := g.hears("shop", http.StatusOK)
	g.hears("busy", http.StatusInternalServerError)
	for i := range 300 {
		g.left("busy", fmt.Sprint("s", i))
	}
	g.now = g.now.Add(time.Second)
	k := flows.Kept{ID: "late", Version: 1, Owner: "s1", Provider: "relying party shop", Until: g.now}
	plain, err := json.Marshal(flows.Party{Client: "shop", Subject: "jane", Session: "s1", Expires: g.now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if k.Data, err = g.sealer.Seal(plain, flows.KeptAAD(k)); err == nil {
		err = g.store.PutKept(t.Context(), k)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _ = g.tell(); len(*heard) != 1 {
		t.Errorf("the other one was told %d times", len(*heard))
	}
}

// A session that has ended, and would have expired while its relying party was away, is told all the same,
// whether it was the one that was tried or one that was spared.
func TestFarewellOutlivesTheSession(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	g.hears("shop", http.StatusServiceUnavailable)
	for i := range 3 {
		g.left("shop", fmt.Sprint("s", i))
	}
	if n, err := g.tell(); n != 0 || err == nil {
		t.Fatalf("told %d, %v", n, err)
	}
	ok := g.hears("shop", http.StatusOK)
	g.now = g.now.Add(2 * time.Hour) // their sessions were good for one
	if n, err := g.tell(); n != 3 || err != nil || len(*ok) != 3 {
		t.Errorf("told %v, done with %d, %v", *ok, n, err)
	}
}

// Of many nodes one tells it.
func TestFarewellOnManyNodes(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	heard := g.hears("shop", http.StatusOK)
	for i := range 10 {
		g.left("shop", fmt.Sprint("s", i))
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _, _ = g.tell() })
	}
	all.Wait()
	if len(*heard) != 10 {
		t.Errorf("told %d times of 10 sessions", len(*heard))
	}
}

// Nobody is told who is no relying party any more, or of a session that has expired; what is somebody else's stays.
func TestFarewellToNobody(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	heard := g.hears("shop", http.StatusOK)
	g.clients["deaf"] = ""
	g.left("gone", "s1")
	g.left("deaf", "s1")
	g.left("shop", "expired")
	tokens := flows.Kept{ID: "tokens", Version: 1, Provider: "corporate", Data: []byte("sealed")}
	if err := g.store.PutKept(t.Context(), tokens); err != nil {
		t.Fatal(err)
	}
	forged := flows.Kept{ID: "forged", Version: 1, Provider: "relying party shop", Data: []byte("not sealed")}
	if err := g.store.PutKept(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	g.now = g.now.Add(time.Hour)
	if n, _ := g.tell(); n != 4 || len(*heard) > 0 {
		t.Errorf("done with %d; told %v", n, *heard)
	}
	rest, err := g.store.Forsaken(t.Context(), g.now, 10)
	if err != nil || len(rest) != 1 || rest[0].ID != "tokens" {
		t.Errorf("%+v, %v are left", rest, err)
	}
}

// A relying party that an address of ours was given for hears nothing: the address is held
// against the network when it is connected to, whatever its name says.
func TestFarewellGoesOutside(t *testing.T) {
	t.Parallel()
	g := newGoodbye(t)
	heard := g.hears("shop", http.StatusOK)
	g.clients["named"] = strings.Replace(g.clients["shop"], "127.0.0.1", "localhost", 1)
	g.cfg.Via = oidcclient.Transport(oidcclient.Public, nil)
	g.left("shop", "s1")
	g.left("named", "s1")
	if n, err := g.tell(); n != 0 || err == nil || len(*heard) > 0 {
		t.Errorf("told %d, %v: %v", n, err, *heard)
	}
}
