package steps_test

import (
	"encoding/json"
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

// Somebody who mistypes may try again, name and all.
func TestWrongThenRightPassword(t *testing.T) {
	t.Parallel()
	h, err := account.NewHasher(account.HasherConfig{Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(seal.Key{ID: "k", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	hash, err := h.Hash(t.Context(), "secret-one")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(account.PasswordData{Hash: hash})
	err = store.Accounts().CreateAccount(t.Context(),
		account.Account{Subject: "s1", Status: account.Active, Logins: []string{"jane"}, Created: now},
		[]account.Authenticator{{ID: "p1", Subject: "s1", Type: account.TypePassword, Status: account.Active, Binding: "aal1", Data: data, Created: now}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	registry, err := flows.NewRegistry(steps.Builtin(steps.Deps{Authenticators: store.Accounts(), Hasher: h, Seeds: sealer, Issuer: "https://stile.example"})...)
	if err != nil {
		t.Fatal(err)
	}
	set, err := flowdefs.Load(fstest.MapFS{"a.yaml": {Data: []byte(`
flows:
  login:
    steps:
      - { id: login, type: password }
clients:
  app: { flows: [login], dpop: optional }
`)}}, ".", registry)
	if err != nil {
		t.Fatal(err)
	}
	e, err := flows.NewEngine(flows.EngineConfig{
		Definitions: set, Registry: registry, Store: store, Texts: store, Sessions: store, Throttle: store, Marks: store,
		Accounts: steps.Accounts(store.Accounts()), Recorder: store, Sealer: sealer, Logger: zap.NewNop(),
		Now: func() time.Time { return now }, DecoyKey: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := e.Start(t.Context(), flows.Caller{}, flows.StartRequest{ClientID: "app", Flow: "login"})
	if err != nil {
		t.Fatal(err)
	}
	handle := v.Handle
	_, err = e.Answer(t.Context(), handle, flows.Caller{}, "login", v.Flow.Turn, flows.Input(`{"username":"jan","password":"secret-one"}`))
	t.Log(err)
	v, err = e.Show(t.Context(), handle, flows.Caller{})
	d, _ := json.Marshal(v)
	t.Log(string(d), err)
	v, err = e.Answer(t.Context(), handle, flows.Caller{}, "login", v.Flow.Turn, flows.Input(`{"username":"jane","password":"secret-one"}`))
	if err != nil || v.Flow.Status != flows.Completed {
		t.Errorf("%+v, %v", v, err)
	}
}
