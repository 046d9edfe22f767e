package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
)

// EngineConfig is everything that an Engine needs. All fields are required unless a default is named.
type EngineConfig struct {
	Definitions *flowdefs.Set
	Registry    *Registry
	Store       Store
	Texts       Definitions
	Sessions    Sessions
	Throttle    Throttle
	Marks       Marks
	Accounts    Accounts
	Recorder    Recorder
	Sealer      Sealer
	Propagators map[string]Propagator // by type, e.g. "bearer_jwt"
	Logger      *zap.Logger
	Now         func() time.Time
	DecoyKey    []byte        // 32 bytes; keys the counters, and what unknown accounts are shown
	PathPrefix  string        // of the hrefs of actions; default "/v1"
	RunTTL      time.Duration // default 10 minutes
	SessionTTL  time.Duration // default 12 hours
}

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
	need(len(c.DecoyKey) >= 32, "a DecoyKey of 32 bytes")
	if c.PathPrefix == "" {
		c.PathPrefix = "/v1"
	}
	if c.RunTTL <= 0 {
		c.RunTTL = 10 * time.Minute
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
}

// Engine runs flows. It is the I/O shell around advance: load, throttle, call
// the step, compare-and-swap, audit, issue. Safe for concurrent use; it holds
// no state of runs.
type Engine struct {
	cfg      EngineConfig
	live     map[string]*program // by flow name: what new runs start on
	programs sync.Map            // content hash -> *program, also of definitions that only running runs use
	texts    sync.Map            // content hash -> struct{}: text is in the store
	recorded recent              // changes whose events this node has seen recorded
}

// NewEngine checks the configuration and compiles all flows; it returns every mistake at once.
func NewEngine(cfg EngineConfig) (*Engine, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, live: make(map[string]*program, len(cfg.Definitions.Flows))}
	var errs []error
	for name, f := range cfg.Definitions.Flows {
		p, err := compile(f, cfg.Registry)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		e.live[name] = p
		e.programs.Store(f.Hash, p)
	}
	for name, t := range cfg.Definitions.Targets {
		if _, ok := cfg.Propagators[t.Propagate.Type]; !ok {
			errs = append(errs, fmt.Errorf("flows: target %q: no propagator of type %q", name, t.Propagate.Type))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return e, nil
}

// program returns the flow of that content hash: a run finishes on the
// definition that it started with, also when the definition has changed since.
func (e *Engine) program(ctx context.Context, hash string) (*program, error) {
	if p, ok := e.programs.Load(hash); ok {
		return p.(*program), nil
	}
	text, err := e.cfg.Texts.Definition(ctx, hash)
	if err != nil {
		return nil, err
	}
	f, err := flowdefs.Parse(text, e.cfg.Registry)
	if err != nil || f.Hash != hash {
		return nil, fmt.Errorf("flows: definition %s in the store does not load: %w", hash, err)
	}
	p, err := compile(f, e.cfg.Registry)
	if err != nil {
		return nil, err
	}
	e.programs.Store(hash, p)
	return p, nil
}

// pin puts the text of a definition where every node finds it.
func (e *Engine) pin(ctx context.Context, f *flowdefs.Flow) error {
	if _, ok := e.texts.Load(f.Hash); ok {
		return nil
	}
	if err := e.cfg.Texts.PutDefinition(ctx, f.Hash, f.Source); err != nil {
		return err
	}
	e.texts.Store(f.Hash, struct{}{})
	return nil
}

// TakeProof takes the one-time mark of a DPoP proof (RFC 9449 §11.1); [ErrTaken] if it was seen before.
func (e *Engine) TakeProof(ctx context.Context, thumbprint, jti string, expires time.Time) error {
	_, err := e.cfg.Marks.TakeMark(ctx, "dpop\x00"+thumbprint+"\x00"+jti, newID(), e.cfg.Now(), expires)
	return err
}

// Refuse records that an adapter refused a request before it reached the
// engine (malformed, too large, a bad proof): one audit event.
func (e *Engine) Refuse(ctx context.Context, c Caller, code string) error {
	return e.cfg.Recorder.Record(ctx, Event{ID: newID(), Time: e.cfg.Now().UTC(), Type: EventRefused, Reason: code})
}

// Sweep removes what has expired, at most limit rows of each kind.
func (e *Engine) Sweep(ctx context.Context, limit int) error {
	now := e.cfg.Now()
	_, err1 := e.cfg.Store.DeleteExpired(ctx, now, limit)
	_, err2 := e.cfg.Sessions.DeleteExpiredSessions(ctx, now, limit)
	_, err3 := e.cfg.Marks.DeleteExpiredMarks(ctx, now, limit)
	return errors.Join(err1, err2, err3)
}

// Origins returns every origin that some client allows, sorted.
func (e *Engine) Origins() []string {
	var all []string
	for _, c := range e.cfg.Definitions.Clients {
		all = append(all, c.Origins...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

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
