package contract_test

import (
	"context"
	"encoding/base32"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// TestMain keeps the random tests short unless somebody asks for more: each
// check starts a node.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	if !asked {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// Jane, as she is known to Stile and to the provider. The words occur nowhere else.
const (
	login            = "jane"
	password         = "canary three quiet hills"
	pin              = "27182846"
	providerUser     = "jane-up"
	providerPassword = "canary-provider-password"
	providerSubject  = "jane-upstream-1"
	clientSecret     = "canary-client-secret-4711"
	redirectURI      = "com.bank.app:/oauth2"
)

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// clock is the time of everybody who takes part.
type clock struct {
	mu   sync.Mutex
	at   time.Time
	live bool // it is the time of the day
}

func newClock() *clock { return &clock{at: time.Now().UTC().Truncate(time.Second)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		return time.Now().UTC()
	}
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func startProvider(t testing.TB, c *clock) *oidctest.Provider {
	t.Helper()
	p, err := oidctest.Start(oidctest.Config{
		Now: c.now,
		Clients: []oidctest.Client{{
			ID: "stile", Secret: clientSecret, RedirectURIs: []string{redirectURI}, PostLogoutRedirectURIs: []string{"com.bank.app:/signed-out"}, AllowedScopes: []string{"openid", "email"},
		}},
		Users: []oidctest.User{
			{Username: providerUser, Password: providerPassword, Subject: providerSubject, Email: "jane@bank.example", EmailVerified: true},
			{Username: "stranger", Password: providerPassword, Subject: "stranger-upstream"},
			{Username: "barred", Password: providerPassword, Subject: "barred-upstream"},
		},
	})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// setup says what a world is made of; the zero value is a good one.
type setup struct {
	definitions string // text; "": the built-in examples
	store       string // "memory" (default) or "sqlite"
	hashing     string // default: as cheap as it may be
	more        string // lines of the configuration file
	person      *users.Person
	logger      *zap.Logger
	transport   http.RoundTripper // to providers
	clock       *clock
	provider    *oidctest.Provider // default: one of its own
	address     string             // to serve on, behind a configured base URL
	fixed       bool               // one address for all nodes of this world, behind a configured base URL
}

// world is a running node with its surroundings.
type world struct {
	ctx      context.Context //nolint:containedctx // of the test
	clock    *clock
	provider *oidctest.Provider
	cfg      config.Config
	logger   *zap.Logger
	via      http.RoundTripper
	node     *node.Node
	added    users.Added
	addr     string // to serve on; "": any
}

// newWorld starts a node with Jane. outer owns folders and the provider; t fails.
func newWorld(outer testing.TB, t tb, s setup) *world {
	outer.Helper()
	t.Helper()
	w := &world{ctx: outer.Context(), clock: s.clock, provider: s.provider, logger: s.logger, via: s.transport}
	if w.clock == nil {
		w.clock = newClock()
	}
	if w.provider == nil {
		w.provider = startProvider(outer, w.clock)
	}
	if w.logger == nil {
		w.logger = zap.NewNop()
	}
	w.configure(outer, t, s)
	w.start(t)
	if s.person == nil {
		s.person = &users.Person{PIN: pin, TOTP: true}
	}
	s.person.Login, s.person.Password = login, password
	if s.person.Binding == assurance.None {
		s.person.Binding = assurance.AAL2
	}
	s.person.Links = []users.Link{{Issuer: w.provider.Issuer(), Subject: providerSubject}}
	s.person.Attributes = map[string]string{"branch": "Zurich"}
	w.added = w.add(t, *s.person)
	return w
}

func (w *world) configure(outer testing.TB, t tb, s setup) {
	outer.Helper()
	t.Helper()
	dir, err := os.MkdirTemp(outer.TempDir(), "") //nolint:usetesting // rapid plays many worlds in one test
	must(t, err)
	if s.store == "" {
		s.store = "memory"
	}
	if s.hashing == "" {
		s.hashing = "{ memory: 8, time: 1, threads: 1, concurrent: 64 }"
	}
	text := fmt.Sprintf("listen: 127.0.0.1:0\ndata_dir: data\nstore: { type: %s, durability: normal }\nhashing: %s\n"+
		"providers: { corporate: { issuer: %q, client_secret: { file: secret }, network: loopback } }\n", s.store, s.hashing, w.provider.Issuer())
	text += s.more
	if s.definitions != "" {
		text += "definitions: flows\n"
		write(t, filepath.Join(dir, "flows", "all.yaml"), s.definitions)
	}
	if s.fixed && s.address == "" {
		s.address = free(t)
	}
	if s.address != "" {
		w.addr = s.address
		text += fmt.Sprintf("base_url: http://%s\n", w.addr)
	}
	write(t, filepath.Join(dir, "secret"), clientSecret+"\n")
	write(t, filepath.Join(dir, "stile.yaml"), text)
	w.cfg, err = config.Load(filepath.Join(dir, "stile.yaml"))
	must(t, err)
}

// free is an address of this machine that nobody serves on.
func free(t tb) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())
	return address
}

func write(t tb, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// start starts a node on what lies in the folder.
func (w *world) start(t tb) {
	t.Helper()
	opts := node.Options{Logger: w.logger, Now: w.clock.now, ProviderTransport: w.via, Unproved: true}
	if w.addr != "" {
		l, err := net.Listen("tcp", w.addr)
		must(t, err)
		opts.Listener = l
	}
	n, err := node.Start(w.ctx, w.cfg, opts)
	must(t, err)
	w.node = n
}

func (w *world) close(t tb) {
	t.Helper()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	must(t, w.node.Shutdown(context.Background()))
}

func (w *world) add(t tb, p users.Person) users.Added {
	t.Helper()
	r, err := w.node.Base.Registrar("Stile", w.clock.now)
	must(t, err)
	added, err := r.Add(w.ctx, p)
	must(t, err)
	return added
}

// seed is Jane's TOTP seed as authenticator apps write it.
func (w *world) seed() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(w.added.Seed)
}

// code waits for a code that was not used yet and reads it.
func (w *world) code() (string, error) {
	if len(w.added.Seed) == 0 {
		return "000000", nil
	}
	w.clock.pass(30 * time.Second)
	return totp.GenerateCode(w.seed(), w.clock.now())
}

// events are all audit events of the store.
func (w *world) events(t tb) []flows.Event {
	t.Helper()
	trail, ok := w.node.Base.Store.(interface {
		Events(ctx context.Context, row int64, limit int) ([]flows.Event, int64, error)
	})
	if !ok {
		t.Fatalf("%T does not tell its events", w.node.Base.Store)
	}
	var all []flows.Event
	for row := int64(0); ; {
		some, next, err := trail.Events(w.ctx, row, 1000)
		must(t, err)
		if all = append(all, some...); len(some) < 1000 {
			return all
		}
		row = next
	}
}

func stores() []string { return []string{"memory", "sqlite"} }

// addOther adds John, whose password is the same.
func (w *world) addOther(t tb) {
	t.Helper()
	w.add(t, users.Person{Login: "john", Password: password, Binding: assurance.AAL1})
}
