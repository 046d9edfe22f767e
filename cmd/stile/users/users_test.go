package users_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/audit"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
)

type broken struct{}

func (broken) Record(context.Context, ...flows.Event) error { return errors.New("disk full") }

// acts does what an engine does of an act, but for telling anybody, and keeps it.
type acts struct {
	recorder func() flows.Recorder
	done     []flows.Act
}

func (a *acts) Administer(ctx context.Context, act flows.Act) error {
	act.Event.ID, act.Event.Time = rand.Text(), time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	if err := a.recorder().Record(ctx, act.Event); err != nil {
		return err
	}
	a.done = append(a.done, act)
	return act.Do(ctx)
}

type kit struct {
	acts     acts
	accounts *memory.Accounts
	hasher   *account.Hasher
	sealer   *seal.Sealer
	events   audit.Memory
	config   users.Config
}

func newKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{accounts: memory.New().Accounts()}
	var err1, err2 error
	k.hasher, err1 = account.NewHasher(account.HasherConfig{
		Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: bytes.Repeat([]byte{1}, 32),
	})
	k.sealer, err2 = seal.New(seal.Key{ID: "1", Secret: bytes.Repeat([]byte{2}, seal.KeySize)})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	k.acts.recorder = func() flows.Recorder { return k.config.Recorder }
	k.config = users.Config{
		Acts:  &k.acts,
		Codes: bytes.Repeat([]byte{3}, 32), Accounts: k.accounts, Hasher: k.hasher, Sealer: k.sealer, Recorder: &k.events, Issuer: "Test",
		Now: func() time.Time { return time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC) },
	}
	return k
}

func (k *kit) add(t *testing.T, p users.Person) (users.Added, error) {
	t.Helper()
	r, err := users.New(k.config)
	if err != nil {
		t.Fatal(err)
	}
	return r.Add(t.Context(), p)
}

func TestAdd(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	added, err := k.add(t, users.Person{
		Login: " Jane ", Password: "three quiet green hills", PIN: "27182846", TOTP: true,
		Links: []users.Link{{Issuer: "https://idp.example", Subject: "j-1"}}, Attributes: map[string]string{"branch": "Zurich"},
		Binding: assurance.AAL2,
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := k.accounts.AccountByLogin(t.Context(), "jane")
	if err != nil || a.Subject != added.Subject || a.Status != account.Active || a.Attributes["branch"] != "Zurich" {
		t.Fatalf("got %+v, %v", a, err)
	}
	if linked, err := k.accounts.AccountByLink(t.Context(), "https://idp.example", "j-1"); err != nil || linked.Subject != a.Subject {
		t.Errorf("link: %+v, %v", linked, err)
	}
	all, err := k.accounts.Authenticators(t.Context(), a.Subject)
	if err != nil || len(all) != 3 {
		t.Fatalf("got %d authenticators, %v", len(all), err)
	}
	for _, x := range all {
		if x.Binding != "aal2" {
			t.Errorf("%s is bound at %s", x.Type, x.Binding)
		}
		for _, secret := range []string{"three quiet green hills", "27182846", string(added.Seed)} {
			if bytes.Contains(x.Data, []byte(secret)) {
				t.Errorf("%s stores a secret in the clear", x.Type)
			}
		}
		k.proves(t, x, added)
	}
}

// proves checks that what was stored accepts what the person has.
func (k *kit) proves(t *testing.T, x account.Authenticator, added users.Added) {
	t.Helper()
	var data struct{ Hash string }
	if err := json.Unmarshal(x.Data, &data); err != nil {
		t.Fatal(err)
	}
	var err error
	switch x.Type {
	case account.TypePassword:
		err = k.hasher.Verify(t.Context(), data.Hash, "three quiet green hills")
	case account.TypePIN:
		err = k.hasher.Verify(t.Context(), data.Hash, "27182846")
	case account.TypeTOTP:
		_, rest, _ := strings.Cut(added.URI, "secret=")
		secret, _, _ := strings.Cut(rest, "&")
		var code string
		if code, err = totp.GenerateCode(secret, k.config.Now()); err == nil {
			err = account.UseTOTP(&x, k.sealer, k.config.Now(), code, "test")
		}
	}
	if err != nil {
		t.Errorf("%s: %v", x.Type, err)
	}
}

// Design invariant 5: the lowest level unless stated, and always audited.
func TestBindingIsLowestUnlessStatedAndAudited(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	added, err := k.add(t, users.Person{Login: "joe", Password: "three quiet green hills"})
	if err != nil {
		t.Fatal(err)
	}
	all, err := k.accounts.Authenticators(t.Context(), added.Subject)
	if err != nil || len(all) != 1 || all[0].Binding != "aal1" {
		t.Errorf("got %+v, %v", all, err)
	}
	events := k.events.Events()
	if len(events) != 1 || events[0].Type != users.EventAccountAdded || events[0].Subject != added.Subject || events[0].ACR != "aal1" {
		t.Errorf("got %+v", events)
	}
}

func TestNoAccountWithoutAudit(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.config.Recorder = broken{}
	if _, err := k.add(t, users.Person{Login: "joe"}); err == nil {
		t.Error("no error")
	}
	if _, err := k.accounts.AccountByLogin(t.Context(), "joe"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		person users.Person
		want   error
	}{
		"login":     {users.Person{Login: " "}, account.ErrLogin},
		"password":  {users.Person{Login: "joe", Password: "short"}, account.ErrUnfit},
		"PIN":       {users.Person{Login: "joe", PIN: "123456"}, account.ErrUnfit},
		"half link": {users.Person{Login: "joe", Links: []users.Link{{Issuer: "https://idp.example"}}}, account.ErrInvalid},
		"taken":     {users.Person{Login: "JANE"}, account.ErrExists},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			if _, err := k.add(t, users.Person{Login: "jane"}); err != nil {
				t.Fatal(err)
			}
			if _, err := k.add(t, c.person); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, err := k.accounts.AccountByLogin(t.Context(), "joe"); !errors.Is(err, account.ErrNotFound) {
				t.Errorf("half an account: %v", err)
			}
		})
	}
}

func TestConfigIsRequired(t *testing.T) {
	t.Parallel()
	if _, err := users.New(users.Config{}); err == nil {
		t.Error("no error")
	}
}
