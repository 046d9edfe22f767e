package stage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/makers"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/dpop"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/flows/scenario"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/flows/webui"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/steps"
	"github.com/stile-auth/stile/steps/sso"
)

// baseURL is where the server of every world is.
const baseURL = "https://stile.example"

// Stage makes worlds for one set of definitions. Safe for concurrent use.
type Stage struct {
	set    *flowdefs.Set
	bearer *propagation.BearerJWT
	hasher *account.Hasher
	sealer *seal.Sealer
	decoy  []byte
}

// New prepares what all worlds share: keys, and a hasher at the lowest cost there is.
func New(set *flowdefs.Set) (*Stage, error) {
	secret := make([]byte, seal.KeySize)
	_, _ = rand.Read(secret) // never fails
	sealer, err := seal.New(seal.Key{ID: "scenario", Secret: secret})
	if err != nil {
		return nil, err
	}
	hasher, err := account.NewHasher(account.HasherConfig{
		Params: account.Params{Memory: 8, Time: 1, Threads: 1}, Pepper: secret, MaxConcurrent: 256, MaxWait: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	key, err := propagation.GenerateKey(propagation.ES256)
	if err != nil {
		return nil, err
	}
	keys, err := propagation.NewKeySet(key)
	if err != nil {
		return nil, err
	}
	bearer, err := propagation.NewBearerJWT(propagation.BearerConfig{
		Issuer: baseURL, Keys: keys, DefaultTTL: 5 * time.Minute, MaxTTL: 24 * time.Hour,
	})
	if err != nil {
		return nil, err
	}
	return &Stage{set: set, bearer: bearer, hasher: hasher, sealer: sealer, decoy: secret}, nil
}

// Host returns the stage as scenarios need it.
func (s *Stage) Host() scenario.Host { return scenario.Host{Definitions: s.set, Open: s.Open} }

// play is one world: who takes part in it.
type play struct {
	stage    *Stage
	cast     scenario.Cast
	store    *memory.Store
	person   *person
	outside  *outside
	device   *app.Device // nil: none
	makers   *trusted    // of phones; nil: none of them is asked
	iphone   *makers.IPhone
	keys     *keyring
	mail     mailbag
	registry *flows.Registry
	engine   *flows.Engine
}

// Open makes a world. Its providers run until it is closed.
func (s *Stage) Open(ctx context.Context, c scenario.Cast) (*scenario.World, error) {
	p := &play{stage: s, cast: c, store: memory.New(), keys: newKeyring()}
	w, err := p.open(ctx)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return w, nil
}

func (p *play) open(ctx context.Context) (*scenario.World, error) {
	var err error
	if p.outside, err = p.startProviders(); err != nil {
		return nil, err
	}
	if p.cast.Given.Device != scenario.DeviceNone {
		p.device, err = app.NewDevice(app.DeviceConfig{Now: p.cast.Clock.Now, Biometrics: func() bool { return true }})
		if err != nil {
			return nil, err
		}
	}
	if p.person, err = p.admit(ctx); err != nil {
		return nil, err
	}
	if err := p.startEngine(); err != nil {
		return nil, err
	}
	w := &scenario.World{
		Engine: p.engine, BaseURL: baseURL, Actors: p.actors(), Lookup: p.registry.Lookup, Provider: p.outside.turn, Outbox: p.mail.all,
		Events: func(ctx context.Context) ([]flows.Event, error) {
			events, _, err := p.store.Events(ctx, 0, 1<<20)
			return events, err
		},
		Close: p.close,
	}
	if p.device != nil {
		w.Phone = p.device
	}
	if p.cast.HTTP {
		w.Handler, err = p.api()
		w.Browse, w.Press = browse(w.Handler), pressLink(w.Handler)
	}
	return w, err
}

func (p *play) close() error {
	if p.outside == nil {
		return nil
	}
	return p.outside.close()
}

func (p *play) startEngine() (err error) {
	s := p.stage
	devices, err := p.attestation()
	if err != nil {
		return err
	}
	types := steps.Builtin(steps.Deps{
		Devices:        devices,
		Authenticators: p.store.Accounts(), Hasher: s.hasher, Seeds: s.sealer, Codes: s.decoy, Issuer: baseURL,
		Providers: p.outside.providers, Links: p.store.Accounts(), Accounts: p.store.Accounts(), Agreements: p.store.Accounts(),
		Directories: p.directories(), Entries: p.store.Accounts(),
	})
	if err := p.answerCalls(types); err != nil {
		return err
	}
	if p.registry, err = flows.NewRegistry(types...); err != nil {
		return err
	}
	keeper, err := sso.NewKeeper(sso.KeeperConfig{
		Find: p.outside.providers.Find, Kept: p.store, Marks: p.store, Sealer: s.sealer, Recorder: p.store, Now: p.cast.Clock.Now,
	})
	if err != nil {
		return err
	}
	p.engine, err = flows.NewEngine(flows.EngineConfig{
		Definitions: s.of(p.cast.Flows), Registry: p.registry,
		Store: p.store, Texts: p.store, Sessions: p.store, Throttle: p.store, Marks: p.store,
		Accounts: steps.Accounts(p.store.Accounts()), Recorder: p.store, Sealer: s.sealer,
		Propagators: map[string]flows.Propagator{
			propagation.TypeBearerJWT: s.bearer, sso.TypeProviderToken: keeper,
			flowdefs.HeaderJWT: propagation.Headers{BearerJWT: s.bearer}, flowdefs.CookieJWT: propagation.Cookies{BearerJWT: s.bearer},
			flowdefs.OneTimeCode: s.bearer, // what its code is traded for
		},
		Leftovers: p.store, Departures: keeper,
		Logger: zap.NewNop(), Now: p.cast.Clock.Now, DecoyKey: s.decoy, Outbox: &p.mail, HandoverURL: baseURL + webui.Path, LinkURL: baseURL + webui.LinkPath,
		Unproved: true, // a counterexample shows how a guarantee is broken
	})
	return err
}

// of is the part of the definitions that a scenario needs: an engine makes all
// steps of all flows ready, and a thousand scenarios should not do so for flows
// that they never start.
func (s *Stage) of(used []*flowdefs.Flow) *flowdefs.Set {
	part := &flowdefs.Set{
		Flows: map[string]*flowdefs.Flow{}, Targets: map[string]*flowdefs.Target{},
		Providers: s.set.Providers, Directories: s.set.Directories, Clients: s.set.Clients, ClientSources: s.set.ClientSources, Messages: s.set.Messages, Levels: s.set.Levels, Asked: s.set.Asked,
	}
	for _, f := range used {
		part.Flows[f.Name] = s.set.Flows[f.Name]
	}
	for name, t := range s.set.Targets {
		if _, ok := part.Flows[t.Flow]; ok {
			part.Targets[name] = t
		}
	}
	return part
}

func (p *play) api() (http.Handler, error) {
	proofs, err := dpop.New(dpop.Config{Now: p.cast.Clock.Now, Taken: func(ctx context.Context, thumbprint, jti string, expires time.Time) error {
		err := p.engine.TakeProof(ctx, thumbprint, jti, expires)
		if errors.Is(err, flows.ErrTaken) {
			return dpop.ErrReplayed
		}
		return err
	}})
	if err != nil {
		return nil, err
	}
	pages, err := webui.New(webui.Config{
		Engine: p.engine, Messages: func() *flowdefs.Messages { return p.stage.set.Messages }, BaseURL: baseURL, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{
		Engine: p.engine, DPoP: proofs, BaseURL: baseURL, Logger: zap.NewNop(), Now: p.cast.Clock.Now, Metrics: prometheus.NewRegistry(),
		Pages: pages,
	})
}

// uses says whether a flow of the scenario has a step of that type.
func (p *play) uses(typ string) bool {
	for _, f := range p.cast.Flows {
		if has(f.Steps, typ) || slices.ContainsFunc(f.Handlers, func(h flowdefs.Handler) bool { return has(h.Steps, typ) }) {
			return true
		}
	}
	return false
}

func has(list []flowdefs.Node, typ string) bool {
	return slices.ContainsFunc(list, func(n flowdefs.Node) bool {
		return n.Kind == flowdefs.Step && n.Type == typ || has(n.Options, typ) || has(n.Steps, typ) ||
			n.Otherwise != nil && has([]flowdefs.Node{*n.Otherwise}, typ)
	})
}

// names of the providers, sorted.
func (s *Stage) names() []string { return slices.Sorted(maps.Keys(s.set.Providers)) }

var _ sso.Accounts = (*memory.Accounts)(nil)

func unknownWord(typ, word, known string) error {
	return fmt.Errorf("%s cannot be answered %q; known: %s", typ, word, known)
}
