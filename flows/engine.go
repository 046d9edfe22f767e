package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// EngineConfig is everything that an Engine needs. All fields are required unless a default is named.
type EngineConfig struct {
	Definitions *flowdefs.Set
	Registry    *Registry
	Store       Store
	Texts       Texts
	Sessions    Sessions
	Throttle    Throttle
	Marks       Marks
	Accounts    Accounts
	Recorder    Recorder
	Sealer      Sealer
	Propagators map[string]Propagator // by type, e.g. "bearer_jwt"
	Outbox      Outbox                // takes over what steps send; default: none, and steps that send are unavailable
	Budget      Budget                // of messages; default: five an hour
	Guesses     Guesses               // wrong answers of one network and of one client; default: no limits
	Quiet       []Notice              // notices that account owners are not told
	Logger      *zap.Logger
	Now         func() time.Time
	DecoyKey    []byte               // 32 bytes; keys the counters, and what unknown accounts are shown
	PathPrefix  string               // of the hrefs of actions; default "/v1"
	HandoverURL string               // external address of the pages that clients hand over to; default: none, and no hand-over
	LinkURL     string               // external address of the pages that links in messages lead to; default: none, and steps that send links are unavailable
	CallbackURL string               // external address that providers send browsers back to, with the provider's name behind it; default: none, and no browser runs flows with a sign-on
	Leftovers   Leftovers            // keeps what proofs leave; default: none, and steps that leave something fail
	Clients     StoredClients        // clients that the definitions do not have; default: none
	Services    ServiceClients       // those of a directory; default: none
	Departures  Departures           // where people sign out elsewhere; default: nowhere
	Ended       func()               // is told that sessions have ended; default: nobody is
	Deviations  assurance.Deviations // from the rules of package assurance; default none
	Unproved    bool                 // nobody proved the definitions, and a run may show which guarantee is false: the gate does not hold them
	RunTTL      time.Duration        // default 10 minutes, at most [LongestRun]
	SessionTTL  time.Duration        // default 12 hours
}

// LongestRun bounds how long a run may take, as flows bound their own.
const LongestRun = flowdefs.LongestRun

func (c *EngineConfig) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("flows: engine needs "+what))
		}
	}
	need(c.Definitions != nil, "Definitions")
	need(c.Registry != nil, "a Registry")
	need(c.Store != nil, "a Store")
	need(c.Texts != nil, "Texts")
	need(c.Sessions != nil, "Sessions")
	need(c.Throttle != nil, "a Throttle")
	need(c.Marks != nil, "Marks")
	need(c.Accounts != nil, "Accounts")
	need(c.Recorder != nil, "a Recorder")
	need(c.Sealer != nil, "a Sealer")
	need(c.Logger != nil, "a Logger")
	need(c.Now != nil, "Now")
	need(c.RunTTL <= LongestRun, "a RunTTL of at most "+LongestRun.String())
	need(len(c.DecoyKey) >= 32, "a DecoyKey of 32 bytes")
	for _, n := range c.Quiet {
		need(slices.Contains(Notices(), n), fmt.Sprintf("notices that there are to be Quiet, and not %q", n))
	}
	if c.PathPrefix == "" {
		c.PathPrefix = "/v1"
	}
	if c.RunTTL <= 0 {
		c.RunTTL = 10 * time.Minute
	}
	c.Budget = c.Budget.orDefault()
	if c.Guesses.Window <= 0 {
		c.Guesses.Window = time.Hour
	}
	if c.SessionTTL <= 0 {
		c.SessionTTL = 12 * time.Hour
	}
	return errors.Join(errs...)
}

// Caller is who sends a request, as the adapter verified it.
type Caller struct {
	Key            string // RFC 7638 thumbprint of a valid DPoP proof, "" if there was none
	IdempotencyKey string // as sent, "" if none
	Body           []byte // what the idempotency key vouches for: the request in any canonical form
	RequestID      string
	Origin         string // of the page whose script asks, as the browser says; "": there is none
	Network        string // where it comes from, as the adapter bounds networks; "": unknown, and not limited
}

// Engine runs flows. It is the I/O shell around advance: load, throttle, call
// the step, compare-and-swap, audit, issue. Safe for concurrent use; it holds
// no state of runs.
type Engine struct {
	cfg      EngineConfig
	active   atomic.Pointer[active]
	texts    sync.Map // content hash -> time.Time: until when the text is in the store
	recorded recent   // changes whose events this node has seen recorded
	quiet    map[Notice]bool
}

// active is one loaded set of definitions. A request uses one from its beginning to its end.
type active struct {
	set      *flowdefs.Set
	registry *Registry
	scales   assurance.Scales
	levels   []string            // the names of all levels
	tags     map[string]bool     // that some flow sets
	flows    map[string]*program // by flow name
	targets  map[string]*program // by target name: the flow with what it authorizes
	programs sync.Map            // content hash -> *program, also of definitions that only running runs use
	origins  []string
	cookies  map[string][]flowdefs.Cookie // by origin of a client: what its targets may end in
	stored   readClients                  // clients of the store
}

// NewEngine checks the configuration and compiles all flows; it returns every mistake at once.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, quiet: map[Notice]bool{}}
	for _, n := range cfg.Quiet {
		e.quiet[n] = true
	}
	if err := e.Use(cfg.Definitions, cfg.Registry); err != nil {
		return nil, err
	}
	return e, nil
}

// Use makes other definitions the active ones, all of them or, if anything is
// wrong, none. New runs start on them; running runs finish on what they began with.
func (e *Engine) Use(set *flowdefs.Set, registry *Registry) error {
	a := &active{set: set, registry: registry, scales: set.Levels, tags: map[string]bool{}, cookies: map[string][]flowdefs.Cookie{}, flows: map[string]*program{}, targets: map[string]*program{}}
	if len(a.scales) == 0 { // a set that was not loaded
		a.scales = assurance.BuiltIn()
	}
	a.levels = a.scales.Names()
	var errs []error
	made := func(f *flowdefs.Flow) *program {
		p, err := compile(f, registry, set.Providers)
		if err != nil {
			errs = append(errs, err)
		}
		return p
	}
	for name, f := range set.Flows {
		a.flows[name] = made(f)
	}
	for name, t := range set.Targets {
		a.targets[name] = a.flows[t.Flow]
		if t.Composed != nil && len(t.Authorize) > 0 {
			a.targets[name] = made(t.Composed)
		}
		for i := range t.Propagate {
			if _, ok := e.cfg.Propagators[t.Propagate[i].Type]; !ok {
				errs = append(errs, fmt.Errorf("flows: target %q: no propagator of type %q", name, t.Propagate[i].Type))
			}
		}
	}
	for _, c := range set.Clients {
		a.origins = append(a.origins, c.Origins...)
		a.addCookies(c)
	}
	slices.Sort(a.origins)
	a.origins = slices.Compact(a.origins)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, all := range []map[string]*program{a.flows, a.targets} {
		for _, p := range all {
			a.programs.Store(p.flow.Hash, p)
			for i := range p.nodes {
				for _, tag := range p.nodes[i].def.Set {
					a.tags[tag] = true
				}
			}
		}
	}
	e.active.Store(a)
	return nil
}

// program returns the flow of that content hash: a run finishes on the
// definition that it started with, also when the definition has changed since.
func (e *Engine) program(ctx context.Context, a *active, hash string) (*program, error) {
	if p, ok := a.programs.Load(hash); ok {
		return p.(*program), nil
	}
	text, err := e.cfg.Texts.Text(ctx, hash)
	if err != nil {
		return nil, err
	}
	f, err := flowdefs.Parse(text, a.registry)
	if err != nil {
		return nil, fmt.Errorf("flows: definition %s in the store does not load: %w", hash, err)
	}
	if f.Hash != hash {
		return nil, fmt.Errorf("flows: definition %s in the store is another: %s", hash, f.Hash)
	}
	p, err := compile(f, a.registry, a.set.Providers)
	if err != nil {
		return nil, err
	}
	a.programs.Store(hash, p)
	return p, nil
}

// pin puts the text of a definition where every node finds it, for longer than the run may last.
func (e *Engine) pin(ctx context.Context, f *flowdefs.Flow, expires time.Time) error {
	if until, ok := e.texts.Load(f.Hash); ok && !until.(time.Time).Before(expires) {
		return nil
	}
	until := expires.Add(24 * time.Hour) // so that most starts find it pinned
	if err := e.cfg.Texts.PutText(ctx, f.Hash, f.Source, until); err != nil {
		return err
	}
	e.texts.Store(f.Hash, until)
	return nil
}

// TakeProof takes the one-time mark of a DPoP proof (RFC 9449 §11.1); [ErrTaken] if it was seen before.
func (e *Engine) TakeProof(ctx context.Context, thumbprint, jti string, expires time.Time) error {
	return e.cfg.Marks.TakeMark(ctx, "dpop\x00"+thumbprint+"\x00"+jti, newID(), e.cfg.Now(), expires)
}

// Refuse records that an adapter refused a request before it reached the
// engine (malformed, too large, a bad proof): one audit event.
func (e *Engine) Refuse(ctx context.Context, c Caller, code string) error {
	return e.cfg.Recorder.Record(ctx, Event{ID: newID(), Time: e.cfg.Now().UTC(), Type: EventRefused, Reason: code, Request: c.RequestID})
}

// Sweep removes what has expired, at most limit rows of each kind, and returns how many it removed.
func (e *Engine) Sweep(ctx context.Context, limit int) (removed int, err error) {
	now := e.cfg.Now()
	kept, err := e.settle(ctx, now, limit)
	if err != nil {
		return 0, err // what is not recorded must not be deleted
	}
	var errs []error
	if kept < limit { // no record is deleted that was not looked at
		removed, err = e.cfg.Store.DeleteExpired(ctx, now, limit-kept)
		errs = append(errs, err)
	}
	for _, del := range []func(context.Context, time.Time, int) (int, error){
		e.cfg.Sessions.DeleteExpiredSessions, e.cfg.Marks.DeleteExpiredMarks,
		e.cfg.Throttle.DeleteExpiredCounters, e.cfg.Texts.DeleteExpiredTexts,
	} {
		n, err := del(ctx, now, limit)
		removed += n
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// settle does what the last changes of expired runs list, before they are
// deleted, and carries letters on. kept is how many of these stay.
func (e *Engine) settle(ctx context.Context, now time.Time, limit int) (kept int, err error) {
	records, err := e.cfg.Store.Expired(ctx, now, limit)
	if err != nil {
		return 0, err
	}
	for _, rec := range records {
		if isAuthorization(rec) {
			continue
		}
		if isLetter(rec) {
			stays, err := e.carryOn(ctx, rec, now)
			if err != nil {
				return 0, err
			}
			if stays {
				kept++
			}
			continue
		}
		r, err := e.openRecord(rec)
		if err != nil {
			e.cfg.Logger.Error("expired run does not open", zap.String("run", rec.ID))
			continue
		}
		if err := e.recordEffects(ctx, r); err != nil {
			return 0, err
		}
	}
	return kept, nil
}

// addCookies notes what the targets of a client may end in.
func (a *active) addCookies(c *flowdefs.Client) {
	for _, name := range c.Targets {
		t := a.set.Targets[name]
		if t == nil {
			continue
		}
		for _, cookie := range t.Cookies() {
			for _, origin := range c.Origins {
				if !slices.Contains(a.cookies[origin], cookie) {
					a.cookies[origin] = append(a.cookies[origin], cookie)
				}
			}
		}
	}
}

// Cookies returns the cookies that runs of the clients with an origin may end in. Do not change it.
func (e *Engine) Cookies(origin string) []flowdefs.Cookie { return e.active.Load().cookies[origin] }

// Origins returns every origin that some client allows, sorted. Do not change it.
func (e *Engine) Origins() []string { return e.active.Load().origins }

// setBy keeps the tags of a session that some flow sets: what nobody sets any
// more says nothing, and nothing was proved of flows that meet it.
func (a *active) setBy(tags []Tag) []Tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t Tag) bool { return !a.tags[t.Name] })
}

// Levels returns the names of all levels that a token can speak of now.
func (e *Engine) Levels() []string { return e.active.Load().levels }

// recent remembers the last few thousand changes, so that a node does not
// record again what it recorded itself. Losing it costs work, never an event.
type recent struct {
	mu       sync.Mutex
	now, old map[string]struct{}
}

func (r *recent) add(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) >= 4096 || r.now == nil {
		r.old, r.now = r.now, make(map[string]struct{})
	}
	r.now[key] = struct{}{}
}

func (r *recent) has(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, a := r.now[key]
	_, b := r.old[key]
	return a || b
}
