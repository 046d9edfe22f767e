package propagation_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/propagation"
)

var errCut = errors.New("cut off")

// shelf keeps a ring in memory, and hands out keys that were made before: they are dear.
type shelf struct {
	mu   sync.Mutex
	ring propagation.Ring
	keys []*propagation.Key
	made int
}

func (s *shelf) Load(context.Context) (propagation.Ring, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ring.Entries()) == 0 {
		return s.ring, propagation.ErrNoKeys
	}
	return s.ring, nil
}

func (s *shelf) Generate(context.Context, string) (*propagation.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return s.keys[s.made%len(s.keys)], nil
}

func (s *shelf) Store(_ context.Context, old, next propagation.Ring) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !cmp.Equal(names(s.ring), names(old)) {
		return propagation.ErrChanged
	}
	s.ring = next
	return nil
}

func names(r propagation.Ring) []string {
	var out []string
	for _, e := range r.Entries() {
		out = append(out, fmt.Sprint(e.ID(), e.Signs.UnixNano()))
	}
	return out
}

// peer is a node: it has a clock of its own, and may be cut off from what keeps the keys.
type peer struct {
	*shelf
	offset time.Duration
	cut    bool
	ring   *propagation.Keyring
}

func (p *peer) Load(ctx context.Context) (propagation.Ring, error) {
	if p.cut {
		return propagation.Ring{}, errCut
	}
	return p.shelf.Load(ctx)
}

func (p *peer) Store(ctx context.Context, old, next propagation.Ring) error {
	if p.cut {
		return errCut
	}
	return p.shelf.Store(ctx, old, next)
}

var stock = sync.OnceValue(func() []*propagation.Key {
	var keys []*propagation.Key
	for range 40 {
		k, err := propagation.GenerateKey(propagation.ES256)
		if err != nil {
			panic(err)
		}
		keys = append(keys, k)
	}
	return keys
})

// world is nodes that sign and publish, and what others have seen of it.
type world struct {
	shelf   *shelf
	now     time.Time
	policy  propagation.Policy
	peers   []*peer
	fetched []fetch
	lives   map[string]time.Time // until when there are tokens of a key
}

type fetch struct {
	at   time.Time
	keys []string
}

func (w *world) check(t *rapid.T) {
	p := w.peers[rapid.IntRange(0, len(w.peers)-1).Draw(t, "peer")]
	set, err := p.ring.Current(t.Context())
	if err != nil {
		if !p.cut {
			t.Fatalf("a node that reaches the keys has none: %v", err)
		}
		return
	}
	if rapid.Bool().Draw(t, "publish") {
		w.fetched = append(w.fetched, fetch{w.now, ids(set)})
		for id, until := range w.lives {
			if until.After(w.now) && !slices.Contains(ids(set), id) {
				t.Fatalf("%s is not published, and there are tokens of it until %s", id, until)
			}
		}
		return
	}
	id := set.Active().ID()
	w.lives[id] = w.now.Add(w.policy.Longest)
	for _, f := range w.fetched {
		if w.now.Sub(f.at) <= propagation.CacheAge && !slices.Contains(f.keys, id) {
			t.Fatalf("signed with %s at %s; who fetched the keys at %s cannot know it", id, w.now, f.at)
		}
	}
}

// However many nodes there are, however their clocks differ, and whoever is cut off
// from the keys for a while: what was just signed can be verified with keys that were fetched
// a cache lifetime ago, and what is still alive with those that are fetched now.
func TestNoTokenWithoutAPublishedKey(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			shelf: &shelf{keys: stock()}, now: now(), lives: map[string]time.Time{},
			policy: propagation.Policy{Every: time.Hour, Longest: time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes")) * time.Minute},
		}
		for range 3 {
			p := &peer{shelf: w.shelf, offset: time.Duration(rapid.IntRange(-60, 60).Draw(t, "seconds")) * time.Second}
			ring, err := propagation.OpenKeyring(t.Context(), propagation.KeyringConfig{
				Keeper: p, Policy: w.policy, Now: func() time.Time { return w.now.Add(p.offset) },
			})
			if err != nil {
				t.Fatal(err)
			}
			p.ring = ring
			w.peers = append(w.peers, p)
		}
		for range 400 {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 180).Draw(t, "step")) * time.Second)
			for _, p := range w.peers {
				if rapid.IntRange(0, 9).Draw(t, "cable") == 0 {
					p.cut = !p.cut
				}
				if err := p.ring.Refresh(t.Context()); err != nil && !p.cut {
					t.Fatal(err)
				}
			}
			w.check(t)
		}
	})
}

// abreast lets all that load at the same time go on when the last of them has loaded.
type abreast struct {
	propagation.Keeper
	line *sync.WaitGroup
	once *sync.Once // nil: nobody waits
}

func (a *abreast) Load(ctx context.Context) (propagation.Ring, error) {
	ring, err := a.Keeper.Load(ctx)
	if a.once != nil {
		a.once.Do(func() { a.line.Done(); a.line.Wait() })
	}
	return ring, err
}

// Many nodes that find the keys due at the same moment make one key.
func TestNodesRotateOnce(t *testing.T) {
	t.Parallel()
	s := memory.New()
	sealer := newSealer(t)
	at := now()
	var rings []*propagation.Keyring
	var keepers []*abreast
	for range 8 {
		keeper := &abreast{Keeper: propagation.NewKeyStore(s, sealer)}
		keepers = append(keepers, keeper)
		ring, err := propagation.OpenKeyring(t.Context(), propagation.KeyringConfig{
			Keeper: keeper, Now: func() time.Time { return at },
			Policy: propagation.Policy{Every: 24 * time.Hour, Longest: time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		rings = append(rings, ring)
	}
	everybody := func() {
		var wg, line sync.WaitGroup
		line.Add(len(keepers))
		for _, k := range keepers {
			k.line, k.once = &line, &sync.Once{}
		}
		for _, r := range rings {
			wg.Go(func() {
				if err := r.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	seen := func() []string {
		var all []string
		for _, r := range rings {
			set, err := r.Current(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(ids(set)))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	if got := seen(); len(got) != 1 {
		t.Fatalf("the first keys: %v", got)
	}
	before, _ := rings[0].Current(t.Context())
	at = at.Add(24*time.Hour - 20*time.Minute)
	everybody()
	set, _ := rings[3].Current(t.Context())
	if got := seen(); len(got) != 1 || len(set.Keys()) != 2 || set.Active().ID() != before.Active().ID() {
		t.Fatalf("after the publication: %v", got)
	}
	next := set.Keys()[1].ID()
	at = at.Add(20 * time.Minute)
	everybody()
	if set, _ = rings[5].Current(t.Context()); len(seen()) != 1 || len(set.Keys()) != 2 || set.Active().ID() != next {
		t.Fatalf("when it is time: %v", seen())
	}
	at = at.Add(time.Hour + 10*time.Minute)
	everybody()
	if got, want := seen(), []string{fmt.Sprint([]string{next})}; !cmp.Equal(got, want) {
		t.Fatalf("at last: %v, want %v", got, want)
	}
}

// A node that cannot read the keys for long neither signs nor publishes, and recovers by itself.
func TestStaleKeys(t *testing.T) {
	t.Parallel()
	at := now()
	p := &peer{shelf: &shelf{keys: stock()}}
	ring, err := propagation.OpenKeyring(t.Context(), propagation.KeyringConfig{
		Keeper: p, Policy: propagation.Policy{Longest: time.Hour}, Now: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.cut = true
	at = at.Add(5 * time.Minute)
	if _, err := ring.Current(t.Context()); err != nil {
		t.Errorf("after five minutes: %v", err)
	}
	at = at.Add(time.Second)
	if _, err := ring.Current(t.Context()); !errors.Is(err, propagation.ErrStale) || !errors.Is(err, errCut) {
		t.Errorf("later: %v", err)
	}
	bearer, err := propagation.NewBearerJWT(propagation.BearerConfig{Issuer: issuer, Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	if grant, err := bearer.Propagate(t.Context(), identity()); !errors.Is(err, propagation.ErrStale) || grant.Token != "" {
		t.Errorf("a token: %v", err)
	}
	p.cut = false
	if _, err := bearer.Propagate(t.Context(), identity()); err != nil {
		t.Errorf("when they can be read again: %v", err)
	}
}

func TestRingIsChanged(t *testing.T) {
	t.Parallel()
	k, at := stock(), now()
	policy := propagation.Policy{Longest: time.Hour}
	ring, err := propagation.NewRing(propagation.Entry{Key: k[0], Made: at, Signs: at})
	if err != nil {
		t.Fatal(err)
	}
	signs := func(r propagation.Ring, at time.Time, want ...*propagation.Key) {
		t.Helper()
		set, err := r.At(at)
		if err != nil {
			t.Fatal(err)
		}
		var wanted []string
		for _, k := range want {
			wanted = append(wanted, k.ID())
		}
		if diff := cmp.Diff(wanted, ids(set)); diff != "" {
			t.Fatal(diff)
		}
	}
	refused := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	if ring, err = ring.Rotate(k[1], at); err != nil {
		t.Fatal(err)
	}
	signs(ring, at.Add(20*time.Minute-1), k[0], k[1])
	signs(ring, at.Add(20*time.Minute), k[1], k[0])
	signs(ring, at.Add(-time.Hour), k[0], k[1]) // a clock that is wrong
	_, err = ring.Rotate(k[2], at)
	refused(err, propagation.ErrPending)
	_, err = ring.Rotate(k[0], at.Add(time.Hour))
	refused(err, propagation.ErrKey)
	for _, id := range []string{k[0].ID(), k[1].ID()} {
		_, err = ring.Retire(id, policy, at.Add(20*time.Minute), false)
		refused(err, propagation.ErrInUse)
	}
	_, err = ring.Retire(k[0].ID(), policy, at.Add(90*time.Minute-1), false)
	refused(err, propagation.ErrInUse)
	_, err = ring.Retire("nobody", policy, at, true)
	refused(err, propagation.ErrKey)
	retired, err := ring.Retire(k[0].ID(), policy, at.Add(90*time.Minute), false)
	if err != nil {
		t.Fatal(err)
	}
	signs(retired, at.Add(90*time.Minute), k[1])
	_, err = retired.Retire(k[1].ID(), policy, at, true)
	refused(err, propagation.ErrKey)
	// What waits may go, and a new key takes the place of one that others have.
	if retired, err = ring.Retire(k[1].ID(), policy, at, false); err != nil {
		t.Fatal(err)
	}
	signs(retired, at, k[0])
	replaced, err := ring.Replace(k[2], at)
	if err != nil {
		t.Fatal(err)
	}
	signs(replaced, at, k[2], k[0])
}

func TestRingsAreInOrder(t *testing.T) {
	t.Parallel()
	k, at := stock(), now()
	for name, entries := range map[string][]propagation.Entry{
		"none":     {},
		"twice":    {{Key: k[0], Signs: at}, {Key: k[0]}},
		"order":    {{Key: k[0], Signs: at}, {Key: k[1], Signs: at.Add(1)}},
		"unknown":  {{Key: k[0]}, {Key: k[1], Signs: at}},
		"too many": slices.Repeat([]propagation.Entry{{Key: k[0]}}, 17),
	} {
		if _, err := propagation.NewRing(entries...); !errors.Is(err, propagation.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func newSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	s, err := seal.New(seal.Key{ID: "k", Secret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Keys of every algorithm come back from where they are kept as they were, and are not to be read there.
func TestKeepers(t *testing.T) {
	t.Parallel()
	var entries []propagation.Entry
	for i, algorithm := range propagation.Algorithms() {
		k, err := propagation.GenerateKey(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, propagation.Entry{Key: k, Made: now().Add(-time.Hour), Signs: now().Add(-time.Duration(i) * time.Minute)})
	}
	ring, err := propagation.NewRing(entries...)
	if err != nil {
		t.Fatal(err)
	}
	one, err := propagation.NewRing(entries[0])
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	for name, keeper := range map[string]propagation.Keeper{
		"file": propagation.KeyFile(filepath.Join(t.TempDir(), "keys.pem")), "store": propagation.NewKeyStore(store, newSealer(t)),
	} {
		ctx := t.Context()
		if _, err := keeper.Load(ctx); !errors.Is(err, propagation.ErrNoKeys) {
			t.Errorf("%s: %v before there is one", name, err)
		}
		if err := keeper.Store(ctx, propagation.Ring{}, ring); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := keeper.Store(ctx, propagation.Ring{}, one); !errors.Is(err, propagation.ErrChanged) {
			t.Errorf("%s: a second first: %v", name, err)
		}
		got, err := keeper.Load(ctx)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(names(ring), names(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for i, e := range got.Entries() {
			if e.Algorithm() != propagation.Algorithms()[i] || !e.Made.Equal(now().Add(-time.Hour)) {
				t.Errorf("%s: key %d is %s, made %s", name, i, e.Algorithm(), e.Made)
			}
			signs(t, e.Key)
		}
		if err := keeper.Store(ctx, got, one); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := keeper.Store(ctx, got, ring); !errors.Is(err, propagation.ErrChanged) {
			t.Errorf("%s: from what was read before: %v", name, err)
		}
	}
}

// Sealed keys open in their own place only.
func TestStoredKeysAreSealed(t *testing.T) {
	t.Parallel()
	store := memory.New()
	keeper := propagation.NewKeyStore(store, newSealer(t))
	ring, err := propagation.NewRing(propagation.Entry{Key: stock()[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Store(t.Context(), propagation.Ring{}, ring); err != nil {
		t.Fatal(err)
	}
	data, version, err := store.Value(t.Context(), "signing_keys")
	if err != nil || slices.Contains(data, '-') && string(data[:5]) == "-----" {
		t.Fatalf("%v: the keys lie open", err)
	}
	elsewhere, err := newSealer(t).Seal([]byte("-----BEGIN"), []byte("elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	for i, wrong := range [][]byte{data, elsewhere, {}} {
		if err := store.PutValue(t.Context(), "signing_keys", wrong, version+1+int64(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := keeper.Load(t.Context()); !errors.Is(err, propagation.ErrKey) {
			t.Errorf("%d: %v, want ErrKey", i, err)
		}
	}
}

var _ flows.Values = (*memory.Store)(nil)
