package steps_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
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
	"github.com/stile-auth/stile/steps"
)

// coded is a flow for each step that asks for a code, with a wrong answer.
func coded() map[string]string {
	return map[string]string{
		"totp": `{"code":"000000"}`, "hotp": `{"code":"000000"}`, "email_code": `{"code":"000000"}`, "magic_link": `{"code":"00000000"}`, "sms_code": `{"code":"000000"}`,
		"recovery_code": `{"code":"AAAA-AAAA-AAAA-AAAA"}`, "activation_code": `{"code":"0000-0000-0000-0000"}`,
	}
}

// tardy is a directory that is slow about accounts that it has: the fault that
// the statistic is there to find.
type tardy struct {
	*memory.Accounts
	mu   sync.Mutex
	more int // hashes for an account that is there
}

func (d *tardy) Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error) {
	d.mu.Lock()
	more := d.more
	d.mu.Unlock()
	if subject == "s1" {
		sum := sha256.Sum256(nil)
		for range more {
			sum = sha256.Sum256(sum[:])
		}
	}
	return d.Accounts.Authenticators(ctx, subject)
}

func (d *tardy) slow(more int) { d.mu.Lock(); d.more = more; d.mu.Unlock() }

// bin is an outbox that delivers nothing.
type bin struct{}

func (bin) Put(context.Context, string, flows.Message) error { return nil }

func (bin) Delivered(context.Context, string) (bool, error) { return true, nil }

// timed is an engine at whose clock one can turn.
type timed struct {
	*flows.Engine
	people *tardy
	mu     sync.Mutex
	at     time.Time
}

func (w *timed) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.at }

func (w *timed) pass(d time.Duration) { w.mu.Lock(); w.at = w.at.Add(d); w.mu.Unlock() }

func newTimed(t *testing.T) *timed {
	t.Helper()
	store, key := memory.New(), make([]byte, seal.KeySize)
	w := &timed{people: &tardy{Accounts: store.Accounts()}, at: now}
	h, err := account.NewHasher(account.HasherConfig{Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: key})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(seal.Key{ID: "k", Secret: key})
	if err != nil {
		t.Fatal(err)
	}
	enrolEverything(t, w.people.Accounts, sealer, key)
	registry, err := flows.NewRegistry(steps.Builtin(steps.Deps{Authenticators: w.people, Hasher: h, Seeds: sealer, Codes: key, Issuer: "https://stile.example"})...)
	if err != nil {
		t.Fatal(err)
	}
	text, names := strings.Builder{}, []string{}
	for typ := range coded() {
		name := strings.ReplaceAll(typ, "_", "-")
		text.WriteString("  " + name + ": { kind: recovery, steps: [{ id: it, type: " + typ + " }] }\n")
		names = append(names, name)
	}
	all := "flows:\n" + text.String() + "clients:\n  app: { flows: [" + strings.Join(names, ", ") + "], dpop: optional }\n"
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(all)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	w.Engine, err = flows.NewEngine(flows.EngineConfig{
		Definitions: set, Registry: registry, Store: store, Texts: store, Sessions: store, Throttle: store, Marks: store,
		Accounts: steps.Accounts(w.people), Recorder: discard{}, Sealer: sealer, Logger: zap.NewNop(), Outbox: bin{},
		Now: w.now, DecoyKey: key, LinkURL: "https://stile.example/link",
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// discard records nothing: what is kept for ever would make later samples slower.
type discard struct{}

func (discard) Record(context.Context, ...flows.Event) error { return nil }

// enrolEverything makes Jane, who has one of each.
func enrolEverything(t *testing.T, people *memory.Accounts, sealer account.Sealer, key []byte) {
	t.Helper()
	sealed, err := account.SealSeed(sealer, "s1", "t", []byte("12345678901234567890"))
	if err != nil {
		t.Fatal(err)
	}
	counted, err := account.SealSeed(sealer, "s1", "h", []byte("12345678901234567890"))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := account.NewRecoveryData(key, "s1", "r", account.NewRecoveryCodes())
	if err != nil {
		t.Fatal(err)
	}
	letter, err := account.NewActivationData(key, "s1", "a", account.NewActivationCode())
	if err != nil {
		t.Fatal(err)
	}
	letter.Channel, letter.Expires = account.ByLetter, now.AddDate(100, 0, 0)
	var auths []account.Authenticator
	for _, x := range []struct {
		id, typ string
		data    any
	}{
		{"t", account.TypeTOTP, account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: 6, Period: 30}},
		{"h", account.TypeHOTP, account.HOTPData{Seed: counted, Digits: 6, Next: 1000}},
		{"e", account.TypeEmail, account.EmailData{Address: "jane@bank.example"}},
		{"p", account.TypePhone, account.PhoneData{Number: "+41791234567"}},
		{"r", account.TypeRecovery, kept},
		{"a", account.TypeActivation, letter},
	} {
		data, err := json.Marshal(x.data)
		if err != nil {
			t.Fatal(err)
		}
		auths = append(auths, account.Authenticator{
			ID: x.id, Subject: "s1", Type: x.typ, Status: account.Active, Binding: "aal2", Data: data, Created: now,
		})
	}
	jane := account.Account{Subject: "s1", Status: account.Active, Logins: []string{"jane"}, Created: now}
	if err := people.CreateAccount(t.Context(), jane, auths, nil); err != nil {
		t.Fatal(err)
	}
}

// sample is how long a run takes to be asked for a code and to refuse one.
func (w *timed) sample(t *testing.T, flow, who, body string) time.Duration {
	t.Helper()
	w.pass(25 * time.Hour) // nobody is throttled, and nothing of before is left
	if _, err := w.Sweep(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	v, err := w.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: strings.ReplaceAll(flow, "_", "-"), LoginHint: who})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Answer(t.Context(), v.Handle, flows.Caller{}, "it", v.Flow.Turn, flows.Input(body))
	took := time.Since(began)
	if err == nil {
		t.Fatalf("%s: a wrong code was accepted", flow)
	}
	return took
}

// shift is how much longer a known person takes than an unknown one, as a part of
// the median: the median of all differences (Hodges and Lehmann), which outliers do
// not move. Samples are taken in pairs in random order, so that what else the
// machine does falls on both alike.
func (w *timed) shift(t *testing.T, flow, body string, pairs int) (shift float64, median time.Duration) {
	t.Helper()
	var took [2][]time.Duration
	for range pairs {
		order := rand.IntN(2)
		for _, i := range []int{order, 1 - order} {
			took[i] = append(took[i], w.sample(t, flow, []string{"jane", "nobody"}[i], body))
		}
	}
	var differences []time.Duration
	for _, known := range took[0] {
		for _, unknown := range took[1] {
			differences = append(differences, known-unknown)
		}
	}
	slices.Sort(differences)
	slices.Sort(took[1])
	median = took[1][pairs/2]
	return math.Abs(float64(differences[len(differences)/2])) / float64(median), median
}

// Time tells nothing of who has what a code goes to or comes from (invariant 13,
// T-51). What is left, some microseconds of copying what an account has, no network
// lets anybody see; the same statistic finds a directory that takes three times as
// long for those that it has.
func TestTimeTellsNothingOfCodes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const pairs, most = 200, 0.5
	w := newTimed(t)
	for flow, body := range coded() {
		w.people.slow(0)
		w.shift(t, flow, body, 20) // warms up
		shift, median := w.shift(t, flow, body, pairs)
		t.Logf("%s: %.2f of %s", flow, shift, median)
		if shift > most {
			t.Errorf("%s: time tells who is known: %.2f of %s", flow, shift, median)
		}
		w.people.slow(hashesIn(2 * median))
		if shift, _ := w.shift(t, flow, body, pairs/2); shift <= most {
			t.Errorf("%s: a fault of %s is not found: %.2f", flow, 2*median, shift)
		}
	}
}

// hashesIn is how many hashes take about that long here and now, by the best of
// some tries: the others were interrupted.
func hashesIn(d time.Duration) int {
	const n = 2000
	best := time.Hour
	for range 20 {
		sum, began := sha256.Sum256(nil), time.Now()
		for range n {
			sum = sha256.Sum256(sum[:])
		}
		best = min(best, time.Since(began))
	}
	return int(float64(n) * float64(d) / float64(best))
}
