package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/delivery"
	"github.com/stile-auth/stile/flows/dpop"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/flows/webui"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/provider"
	"github.com/stile-auth/stile/steps/ldappassword"
	"github.com/stile-auth/stile/steps/sso"
)

// Options is what a node gets from its surroundings and not from its configuration.
type Options struct {
	Logger            *zap.Logger       // required
	Now               func() time.Time  // required
	Listener          net.Listener      // serves on this one instead of the configuration's address
	ProviderTransport http.RoundTripper // carries the requests to providers; default: that of package oidcclient
	Stdout            io.Writer         // for audit events that go to stdout; default os.Stdout
	Watch             time.Duration     // how often to look whether the folder of definitions has changed; default 2 s, negative: never
	Unproved          bool              // for tests of the machine with flows that nobody should write: definitions become active without proofs
}

// Node is a running server. Its methods are safe for concurrent use.
type Node struct {
	Base *Base

	cfg      config.Config
	opts     Options
	url      string
	listener net.Listener
	engine   *flows.Engine
	keys     *propagation.Keyring
	keeper   *sso.Keeper
	ended    chan struct{} // holds something if sessions have ended since the keeper has looked
	farewell *provider.Farewell
	left     chan struct{}   // likewise, of farewell
	outbox   *delivery.Queue // nil: nothing carries messages
	server   *http.Server
	gate     gate // what answers proxies
	metrics  *prometheus.Registry
	stopping atomic.Bool
	failed   chan error
	stop     context.CancelFunc // of the sweeper and the watch
	done     sync.WaitGroup
	closing  chan struct{} // closed when requests that wait should not wait any longer

	loaded    atomic.Pointer[loaded]               // what is active
	rejected  atomic.Pointer[httpapi.FailedReload] // nil: no reload has failed
	reloading sync.Mutex
	proofs    *proofs
	tried     string // what the last reload found; under reloading

	connected []*ldappassword.Directory // of what is active; under reloading
	services  atomic.Pointer[ldappassword.Services]
}

// Start opens everything and serves until Shutdown. Mistakes of the definitions
// are returned all together as [flowdefs.Problems]. ctx bounds the start only.
func Start(ctx context.Context, cfg config.Config, opts Options) (*Node, error) {
	if opts.Logger == nil || opts.Now == nil {
		return nil, errors.New("node: Logger and Now are required")
	}
	if opts.Stdout == nil {
		opts.Stdout = os.Stdout
	}
	if opts.Watch == 0 {
		opts.Watch = watchEvery
	}
	n := &Node{cfg: cfg, opts: opts, failed: make(chan error, 2), closing: make(chan struct{}), ended: make(chan struct{}, 1), left: make(chan struct{}, 1)}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.release())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	l, err := n.read()
	if err != nil {
		return err // before anything is made or opened
	}
	n.tried = l.hash
	if err := n.listen(ctx); err != nil {
		return err
	}
	if err := n.listenToProxies(ctx); err != nil {
		return err
	}
	account.MakeRoom(n.cfg.Hashing.Concurrent)
	if n.Base, err = OpenBase(ctx, n.cfg, n.opts.Stdout); err != nil {
		return err
	}
	n.Base.closes = append(n.Base.closes, func() error { return closeAll(n.connected) })
	if n.keys, err = n.Base.Keys(ctx, n.cfg, n.opts.Now); err != nil {
		return err
	}
	if err := n.openOutbox(); err != nil {
		return err
	}
	n.proofs = openProofs(n.cfg.DataDir, n.Base.Sealer, n.opts.Logger)
	if err := n.prove(ctx, l); err != nil {
		return err
	}
	handler, err := n.handler(ctx, l)
	if err != nil {
		return err
	}
	if err := n.openGateway(handler); err != nil {
		return err
	}
	if n.server, err = httpapi.NewServer("", handler, n.opts.Logger); err != nil {
		return err
	}
	n.serve()
	return nil
}

// listen takes the address before anything else is done: a second node on one
// machine should find that out first.
func (n *Node) listen(ctx context.Context) (err error) {
	if n.listener = n.opts.Listener; n.listener == nil {
		var lc net.ListenConfig
		if n.listener, err = lc.Listen(ctx, "tcp", n.cfg.Listen); err != nil {
			return fmt.Errorf("node: %w", err)
		}
	}
	if n.url = n.cfg.BaseURL; n.url != "" {
		return nil
	}
	addr, ok := n.listener.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return fmt.Errorf("node: base_url is required to serve on %s, which is not a loopback address", n.listener.Addr())
	}
	n.url = "http://" + addr.String()
	return nil
}

func (n *Node) handler(ctx context.Context, l *loaded) (http.Handler, error) {
	registry, err := n.registry(l)
	if err != nil {
		return nil, err
	}
	bearer, err := propagation.NewBearerJWT(propagation.BearerConfig{
		Issuer: n.url, Keys: n.keys, DefaultTTL: n.cfg.Tokens.TTL, MaxTTL: n.cfg.Tokens.MaxTTL,
	})
	if err != nil {
		return nil, err
	}
	if n.keeper, err = n.newKeeper(); err != nil {
		return nil, err
	}
	if n.engine, err = n.newEngine(l.set, registry, bearer); err != nil {
		return nil, err
	}
	if n.farewell, err = n.newFarewell(); err != nil {
		return nil, err
	}
	l.since = n.opts.Now().UTC()
	n.loaded.Store(l)
	n.logActive(l)
	return n.api(ctx, registry)
}

func (n *Node) newEngine(set *flowdefs.Set, registry *flows.Registry, bearer *propagation.BearerJWT) (*flows.Engine, error) {
	b := n.Base
	ids, err := propagation.NewIDTokens(n.url, n.keys)
	if err != nil {
		return nil, err
	}
	budget, err := budgetOf(n.cfg.Delivery)
	if err != nil {
		return nil, err
	}
	return flows.NewEngine(flows.EngineConfig{
		Definitions: set, Registry: registry,
		Store: b.Store, Texts: b.Store, Sessions: b.Store, Throttle: b.Store, Marks: b.Store,
		Accounts: accountsOf(b), Recorder: b.Recorder, Sealer: b.Sealer,
		Propagators: map[string]flows.Propagator{
			propagation.TypeBearerJWT: bearer, flows.ClientToken: propagation.ClientTokens{BearerJWT: bearer}, flows.IDToken: ids,
			sso.TypeProviderToken: n.keeper,
			flowdefs.HeaderJWT:    propagation.Headers{BearerJWT: bearer}, flowdefs.CookieJWT: propagation.Cookies{BearerJWT: bearer},
			flowdefs.OneTimeCode: bearer, // what its code is traded for
		},
		Clients: b.Store, Services: serviceClients{n},
		Leftovers: b.Store, Departures: n.keeper, Ended: n.wake,
		Logger: n.opts.Logger.Named("flows"), Now: n.opts.Now, DecoyKey: b.decoy,
		Deviations: Deviations(n.cfg.Assurance.Deviations),
		Outbox:     n.putter(), Budget: budget, Quiet: quietOf(n.cfg.Delivery.Quiet),
		Guesses:     guessesOf(n.cfg.Limits),
		HandoverURL: n.url + webui.Path, LinkURL: n.url + webui.LinkPath, CallbackURL: n.url + webui.CallbackPath,
		RunTTL: n.cfg.Runs.TTL, SessionTTL: n.cfg.Runs.SessionTTL,
	})
}

func (n *Node) api(ctx context.Context, registry *flows.Registry) (http.Handler, error) {
	algorithms := []string{"ES256", "EdDSA", "PS256"}
	proofs, err := dpop.New(dpop.Config{Algorithms: algorithms, Now: n.opts.Now, Taken: n.takeProof})
	if err != nil {
		return nil, err
	}
	documents, err := propagation.Documents(ctx, propagation.DocumentsConfig{
		Issuer: n.url, Keys: n.keys, ACRValues: n.engine.Levels, DPoPAlgorithms: algorithms, Server: provider.Metadata(n.url),
	})
	if err != nil {
		return nil, err
	}
	if err := n.publishApps(documents); err != nil {
		return nil, err
	}
	n.metrics = prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector(),
	} {
		if err := n.metrics.Register(c); err != nil {
			return nil, fmt.Errorf("node: metrics: %w", err)
		}
	}
	pages, server, err := n.browsers(registry, algorithms)
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{
		Engine: n.engine, DPoP: proofs, BaseURL: n.url, Pages: pages, OAuth: server,
		Logger: n.opts.Logger.Named("http"), Now: n.opts.Now, Metrics: n.metrics, WellKnown: documents, Steps: registry.Types(),
		Logouts: sso.Logouts{Engine: n.engine, Find: n.remote},
		Closing: n.closing, Definitions: n.active,
		Limit: httpapi.Limit{PerSecond: float64(n.cfg.Limits.PerSecond), Burst: n.cfg.Limits.Burst},
		Ready: n.checks(),
	})
}

// checks are what /readyz asks, by name.
func (n *Node) checks() map[string]httpapi.Check {
	all := map[string]httpapi.Check{"node": n.notStopping}
	for name, ping := range n.Base.Pings() {
		all[name] = ping
	}
	return all
}

// takeProof puts the engine's answer into the verifier's words.
func (n *Node) takeProof(ctx context.Context, thumbprint, jti string, expires time.Time) error {
	err := n.engine.TakeProof(ctx, thumbprint, jti, expires)
	if errors.Is(err, flows.ErrTaken) {
		return dpop.ErrReplayed
	}
	return err
}

// URL is the external base URL, without a closing slash; also the issuer of tokens.
func (n *Node) URL() string { return n.url }

// Addr is the address that the node serves on.
func (n *Node) Addr() net.Addr { return n.listener.Addr() }

// Definitions is what new runs start on.
func (n *Node) Definitions() *flowdefs.Set { return n.loaded.Load().set }

// MissingSecrets names the providers whose secret is not set, sorted. Steps that
// use them answer 503.
func (n *Node) MissingSecrets() []string { return n.loaded.Load().missing }

// Failed yields the error that ended serving, if something but Shutdown did.
func (n *Node) Failed() <-chan error { return n.failed }

var errStopping = errors.New("node: stopping")

// Ready reports whether the node can serve flows: it is not about to stop, and its store answers.
func (n *Node) Ready(ctx context.Context) error {
	return errors.Join(n.notStopping(ctx), n.Base.Ping(ctx))
}

func (n *Node) notStopping(context.Context) error {
	if n.stopping.Load() {
		return errStopping
	}
	return nil
}

// Deviations are those that a configuration names.
func Deviations(names []string) assurance.Deviations {
	return assurance.Deviations{
		ServerPINIsPIN: slices.Contains(names, "server_pin_is_pin"),
		EmailIsFactor:  slices.Contains(names, "email_is_factor"),
	}
}
