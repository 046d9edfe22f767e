package flows_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/memory"
)

// directory is services whose secret is "right".
type directory struct {
	mu     sync.Mutex
	asked  int
	looked int // for one whose secret nobody shows
	down   bool
}

func (d *directory) Client(context.Context, *flowdefs.ClientSource, string) (flows.Found, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked++
	return flows.Found{}, flows.ErrNotFound
}

func (d *directory) Admit(_ context.Context, s *flowdefs.ClientSource, id, secret string) (flows.Found, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	switch {
	case d.down:
		return flows.Found{}, fmt.Errorf("%w: directory", flows.ErrUnavailable)
	case id != "batch" || secret != "right":
		return flows.Found{}, flows.ErrNotFound
	}
	return flows.Found{Client: &flowdefs.Client{ID: id, Targets: s.Targets, OAuth: &flowdefs.OAuth{}}}, nil
}

const withServices = `
flows:
  f: { steps: [{ id: a, type: secret }] }
targets:
  t: { flow: f, propagate: { type: bearer_jwt, audience: "https://t.example" } }
clients:
  app: { flows: [f], targets: [t] }
directories:
  staff: { url: "ldaps://ldap.example", base: "dc=example" }
client_sources:
  services: { from: directory, directory: staff, base: "dc=example", grants: [client_credentials], targets: [t] }
`

func newServices(t *testing.T) (*kit, *directory) {
	t.Helper()
	k, d := newKit(t, withServices), &directory{}
	k.config.Services = d
	var err error
	if k.engine, err = flows.NewEngine(k.config); err != nil {
		t.Fatal(err)
	}
	return k, d
}

func (k *kit) admit(id, secret string) error {
	_, admitted, err := k.engine.Admit(k.t.Context(), flows.Caller{}, id, flowdefs.AuthBasic, secret)
	if err == nil && !admitted {
		return errors.New("somebody else has to check")
	}
	return err
}

func throttled(err error) bool {
	var pr *flows.Problem
	return errors.As(err, &pr) && pr.Kind == flows.KindThrottled && pr.RetryAfter > 0
}

// Who guesses the secret of a service waits longer after each failure, and so does who guesses that
// of one that is not there: a service is not known by it.
func TestServicesAreThrottled(t *testing.T) {
	t.Parallel()
	waits := map[string][]time.Duration{}
	for _, id := range []string{"batch", "nobody"} {
		k, d := newServices(t)
		failed := 0
		for range 40 {
			err := k.admit(id, "wrong")
			var pr *flows.Problem
			if errors.As(err, &pr) {
				waits[id] = append(waits[id], pr.RetryAfter)
				k.clock.pass(pr.RetryAfter)
				continue
			}
			if !errors.Is(err, flows.ErrNotFound) {
				t.Fatal(err)
			}
			failed++
		}
		if d.asked != failed || failed > 31 {
			t.Errorf("%s: asked %d times, %d failed", id, d.asked, failed)
		}
		if err := k.admit("other", "wrong"); !errors.Is(err, flows.ErrNotFound) {
			t.Errorf("another one waits, too: %v", err)
		}
	}
	if fmt.Sprint(waits["batch"]) != fmt.Sprint(waits["nobody"]) || len(waits["batch"]) == 0 {
		t.Errorf("waits of one that is there %v, of one that is not %v", waits["batch"], waits["nobody"])
	}
}

// Whom an administrator has disabled in the store is nobody, also if the directory has somebody of
// that name: neither with the secret of the one nor with that of the other.
func TestDisabledClientHasNoNamesake(t *testing.T) {
	t.Parallel()
	k, d := newKit(t, withServices+"  partners: { from: store, grants: [client_credentials], targets: [t] }\n"), &directory{}
	clients := memory.New()
	k.config.Services, k.config.Clients = d, clients
	var err error
	if k.engine, err = flows.NewEngine(k.config); err != nil {
		t.Fatal(err)
	}
	if err := k.admit("batch", "right"); err != nil {
		t.Fatalf("the directory's own: %v", err)
	}
	for name, c := range map[string]flows.StoredClient{
		"disabled":         {Text: []byte(`{"targets":["t"],"oauth":{"auth":"client_secret_basic","grants":["client_credentials"]}}`), Disabled: true},
		"does not load":    {Text: []byte(`{"targets":["gone"]}`)},
		"may not be there": {Text: []byte(`{"targets":["t"],"oauth":{"auth":"none","redirect_uris":["https://a.example/"]}}`)},
	} {
		c.ID, c.Version = "batch", 1
		if err := clients.PutClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		asked := d.asked
		if err := k.admit("batch", "right"); !errors.Is(err, flows.ErrNotFound) || d.asked != asked {
			t.Errorf("%s: admitted: %v, the directory was asked %d times", name, err, d.asked-asked)
		}
		if _, err := k.engine.Client(t.Context(), "batch"); !errors.Is(err, flows.ErrNotFound) || d.looked > 0 {
			t.Errorf("%s: its tokens are good: %v, %d", name, err, d.looked)
		}
		if err := clients.RemoveClient(t.Context(), "batch"); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.admit("batch", "right"); err != nil {
		t.Errorf("once it is removed: %v", err)
	}
}

// A service that fails now and then goes on; a directory that is down takes no attempts.
func TestServicesGoOn(t *testing.T) {
	t.Parallel()
	k, d := newServices(t)
	for range 100 {
		if err := k.admit("batch", "wrong"); !errors.Is(err, flows.ErrNotFound) {
			t.Fatal(err)
		}
		if err := k.admit("batch", "right"); err != nil {
			t.Fatal(err)
		}
	}
	d.down = true
	for range 100 {
		if err := k.admit("batch", "right"); !errors.Is(err, flows.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	d.down = false
	if err := k.admit("batch", "right"); err != nil {
		t.Error(err)
	}
}

// The attempt counts before it is made: of many at once no more than there are reach the directory.
func TestServicesAreCountedBefore(t *testing.T) {
	t.Parallel()
	k, d := newServices(t)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { _ = k.admit("batch", "wrong") })
	}
	all.Wait()
	if d.asked > 20 {
		t.Errorf("%d guesses at once", d.asked)
	}
	if err := k.admit("batch", "right"); !throttled(err) {
		t.Errorf("the right one, after them: %v", err)
	}
}

// Clients of the definitions are no matter of the directory.
func TestDefinitionsComeFirst(t *testing.T) {
	t.Parallel()
	k, d := newServices(t)
	c, admitted, err := k.engine.Admit(t.Context(), flows.Caller{}, "app", flowdefs.AuthBasic, "right")
	if err != nil || admitted || c.ID != "app" || d.asked != 0 {
		t.Errorf("%+v, %t, %v; asked %d", c, admitted, err, d.asked)
	}
	if _, _, err := k.engine.Admit(t.Context(), flows.Caller{}, "batch", flowdefs.AuthPost, "right"); !errors.Is(err, flows.ErrNotFound) || d.asked != 0 {
		t.Errorf("in a way that is not allowed: %v", err)
	}
}
