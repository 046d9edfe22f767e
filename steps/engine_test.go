package steps_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pquerna/otp/totp"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/flows/store/sqlite"
	"github.com/stile-auth/stile/steps"
)

// whole is an engine with the real step types on a real store, and one account:
// jane, with a password and one-time codes.
type whole struct {
	*flows.Engine
	seed []byte
}

type driver interface {
	flows.Store
	flows.Texts
	flows.Sessions
	flows.Throttle
	flows.Marks
	flows.Recorder
}

type directory interface {
	steps.Repository
	steps.Authenticators
	CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error
}

func onEachStore(t *testing.T, test func(t *testing.T, w whole)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		s := memory.New()
		test(t, newWhole(t, s, s.Accounts()))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "stile.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		test(t, newWhole(t, s, s.Accounts()))
	})
}

func newWhole(t *testing.T, store driver, people directory) whole {
	t.Helper()
	h, err := account.NewHasher(account.HasherConfig{Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(seal.Key{ID: "k", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	w := whole{seed: []byte("12345678901234567890")}
	createJane(t, people, h, sealer, w.seed)
	registry, err := flows.NewRegistry(steps.Builtin(steps.Deps{Authenticators: people, Hasher: h, Seeds: sealer, Issuer: "https://stile.example"})...)
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(`
flows:
  login:
    steps:
      - { id: login, type: password }
  both:
    steps:
      - { id: login, type: password }
      - { id: code, type: totp }
clients:
  app: { flows: [login, both], dpop: optional }
`)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	w.Engine, err = flows.NewEngine(flows.EngineConfig{
		Definitions: set, Registry: registry, Store: store, Texts: store, Sessions: store, Throttle: store, Marks: store,
		Accounts: steps.Accounts(people), Recorder: store, Sealer: sealer, Logger: zap.NewNop(),
		Now: func() time.Time { return now }, DecoyKey: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func createJane(t *testing.T, people directory, h *account.Hasher, sealer account.Sealer, seed []byte) {
	t.Helper()
	hash, err := h.Hash(t.Context(), "secret-one")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := account.SealSeed(sealer, "s1", "t1", seed)
	if err != nil {
		t.Fatal(err)
	}
	auth := func(id, typ string, data any) account.Authenticator {
		raw, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		return account.Authenticator{ID: id, Subject: "s1", Type: typ, Status: account.Active, Binding: "aal2", Data: raw, Created: now}
	}
	err = people.CreateAccount(t.Context(), account.Account{Subject: "s1", Status: account.Active, Logins: []string{"jane"}, Created: now}, []account.Authenticator{
		auth("p1", account.TypePassword, account.PasswordData{Hash: hash}),
		auth("t1", account.TypeTOTP, account.TOTPData{Seed: sealed, Algorithm: "SHA1", Digits: 6, Period: 30}),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func (w whole) answer(t *testing.T, v flows.View, h flows.Secret, body string) (flows.View, error) {
	t.Helper()
	return w.Answer(t.Context(), h, flows.Caller{}, v.NextStep.StepID, v.Flow.Turn, flows.Input(body))
}

// Somebody who mistypes may try again, name and all.
func TestWrongThenRightPassword(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, w whole) {
		v, err := w.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: "login"})
		if err != nil {
			t.Fatal(err)
		}
		handle := v.Handle
		if _, err := w.answer(t, v, handle, `{"username":"jan","password":"secret-one"}`); err == nil {
			t.Fatal("a wrong name was accepted")
		}
		if v, err = w.Show(t.Context(), handle, flows.Caller{}); err != nil {
			t.Fatal(err)
		}
		v, err = w.answer(t, v, handle, `{"username":"jane","password":"secret-one"}`)
		if err != nil || v.Flow.Status != flows.Completed {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// One code is good for one login, however many runs it is sent to at once
// (RFC 6238 §5.2; four well-known products were seen to accept it twice).
func TestOneCodeManySubmits(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, w whole) {
		var views []flows.View
		for range 2 {
			v, err := w.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: "both"})
			if err != nil {
				t.Fatal(err)
			}
			if v, err = w.answer(t, v, v.Handle, `{"username":"jane","password":"secret-one"}`); err != nil {
				t.Fatal(err)
			}
			views = append(views, v)
		}
		code, err := totp.GenerateCode(base32.StdEncoding.EncodeToString(w.seed), now)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		done := make(chan flows.View, 50)
		for i := range 50 {
			wg.Go(func() {
				v := views[i%2]
				if out, err := w.Answer(context.Background(), v.Handle, flows.Caller{}, "code", v.Flow.Turn, flows.Input(`{"code":"`+code+`"}`)); err == nil {
					done <- out
				}
			})
		}
		wg.Wait()
		if len(done) != 1 || (<-done).Flow.Status != flows.Completed {
			t.Errorf("50 submits of one code over two runs: %d successes, want exactly one", len(done))
		}
	})
}
