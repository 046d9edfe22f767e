package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Leftover is what a proof leaves besides: tokens of a provider, which are nobody's but
// the session's. The engine seals it and looks into it never.
type Leftover struct {
	Provider string
	Data     []byte
}

// Kept is a leftover at rest. It belongs to the run that has it first, and to the
// session from when the run completes.
type Kept struct {
	ID       string // random; primary key
	Version  int64  // 1 when created; one more per update
	Owner    string // ID of the session, or of the run; "": nobody's any more
	Provider string
	Tries    int       // how often it was cared for in vain
	Until    time.Time // nobody else is to care for it before; zero: as soon as its session has ended
	Data     []byte    // sealed
}

// Leftovers keeps them. Safe for concurrent use; what it returns is a copy.
type Leftovers interface {
	// PutKept stores a new one; [ErrExists].
	PutKept(ctx context.Context, k Kept) error
	// KeptBy returns those of one of the owners, by ID.
	KeptBy(ctx context.Context, owners ...string) ([]Kept, error)
	// UpdateKept replaces one if its stored Version is k.Version-1, else [ErrConflict]; [ErrNotFound].
	UpdateKept(ctx context.Context, k Kept) error
	// Forsaken returns at most limit of those whose owner is no session (or one that has
	// expired at now) and whose Until is not after now, the earliest first.
	Forsaken(ctx context.Context, now time.Time, limit int) ([]Kept, error)
	// DeleteKept removes one; absent is no error.
	DeleteKept(ctx context.Context, id string) error
}

// Departure is where a person ends what a session rested on elsewhere.
type Departure struct {
	EndSessionURI string `json:"endSessionUri" doc:"To be opened in the system browser: the person signs out there."`
	State         string `json:"state,omitempty" doc:"Comes back with the redirect."`
}

// Departures finds out where; nil if there is nothing to do.
type Departures interface {
	Depart(ctx context.Context, s Session, client flowdefs.Client) (*Departure, error)
}

// runMargin is how long what a run leaves is kept beyond its end.
const runMargin = time.Minute

// KeptAAD binds a sealed leftover to its place.
func KeptAAD(k Kept) []byte { return fmt.Appendf(nil, "kept\x00%s\x00%s", k.ID, k.Provider) }

// keeps stores what the proofs of this change leave. It is stored before the run is: if
// that comes to nothing, it is nobody's once the run has ended.
func (x *exchange) keeps(ctx context.Context) error {
	if len(x.left) > 0 && x.e.cfg.Leftovers == nil {
		return errors.New("flows: a proof leaves something, and nothing keeps it")
	}
	for _, l := range x.left {
		k := Kept{ID: newID(), Version: 1, Owner: x.r.ID, Provider: l.Provider, Until: x.r.Expires.Add(runMargin)}
		var err error
		if k.Data, err = x.e.cfg.Sealer.Seal(l.Data, KeptAAD(k)); err != nil {
			return fmt.Errorf("flows: seal what is left: %w", err)
		}
		if err := x.e.cfg.Leftovers.PutKept(ctx, k); err != nil {
			return fmt.Errorf("%w: what is left: %w", ErrUnavailable, err)
		}
	}
	x.left = nil
	return nil
}

// handDown gives to the session that the run leaves what the run had; what the session
// had of the same provider is nobody's then.
func (x *exchange) handDown(ctx context.Context) error {
	if x.session == nil || !x.keeping(x.session.Evidence) {
		return nil
	}
	all, err := x.e.cfg.Leftovers.KeptBy(ctx, x.r.ID, x.session.ID)
	if err != nil {
		return fmt.Errorf("%w: what is left: %w", ErrUnavailable, err)
	}
	for _, k := range all {
		replaced := k.Owner == x.session.ID && slices.ContainsFunc(all, func(o Kept) bool { return o.Owner == x.r.ID && o.Provider == k.Provider })
		if k.Owner == x.session.ID && !replaced {
			continue
		}
		k.Version, k.Until = k.Version+1, time.Time{}
		if k.Owner = x.session.ID; replaced {
			k.Owner = ""
		}
		if err := x.e.cfg.Leftovers.UpdateKept(ctx, k); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%w: what is left: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// keeping says whether something that was proved leaves something.
func (x *exchange) keeping(proved []assurance.Evidence) bool {
	return x.e.cfg.Leftovers != nil && slices.ContainsFunc(proved, func(e assurance.Evidence) bool {
		if e.Upstream == nil {
			return false
		}
		p := x.a.set.Providers[e.Upstream.Provider]
		return p != nil && (p.KeepTokens || p.SignsOut)
	})
}

// ended says that sessions have ended: what they leave is to be cared for.
func (e *Engine) ended() {
	if e.cfg.Ended != nil {
		e.cfg.Ended()
	}
}
