package flows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// Clients stand in the definitions, in the store, or in a directory, and are looked for
// in this order: nobody who writes elsewhere takes the name of a client of the
// definitions. What those from elsewhere may have, the definitions bound (client_sources).

// StoredClient is a client at rest.
type StoredClient struct {
	ID       string
	Version  int64  // 1 when it is stored first; one more per update
	Text     []byte // what it is, in the words of the section clients
	Disabled bool
	Created  time.Time
	Changed  time.Time
}

// StoredClients keeps clients. Safe for concurrent use; what it returns is a copy.
type StoredClients interface {
	// StoredClient returns one; [ErrNotFound].
	StoredClient(ctx context.Context, id string) (StoredClient, error)
	// StoredClients returns at most limit of those whose id is greater than after, by id.
	StoredClients(ctx context.Context, after string, limit int) ([]StoredClient, error)
	// PutClient stores one if the stored Version is c.Version-1, or if there is none and c.Version is 1; else [ErrConflict].
	PutClient(ctx context.Context, c StoredClient) error
	// RemoveClient removes one; absent is no error.
	RemoveClient(ctx context.Context, id string) error
}

// ServiceClients are the clients of a directory, which prove who they are to the directory.
// Safe for concurrent use. What is returned is within the bounds of the source.
type ServiceClients interface {
	// Client returns the client that is there now; [ErrNotFound], also of one that is disabled.
	Client(ctx context.Context, source *flowdefs.ClientSource, id string) (Found, error)
	// Admit returns the client whose secret it is; [ErrNotFound] if there is none, or if the
	// secret is wrong: both cost the same. [ErrUnavailable]: it cannot be told now.
	Admit(ctx context.Context, source *flowdefs.ClientSource, id, secret string) (Found, error)
}

// Found is a client from elsewhere.
type Found struct {
	*flowdefs.Client

	Dropped int // what it says of itself and may not have
}

// readClients are clients of the store as they were read under one set of definitions.
type readClients struct{ byID sync.Map } // id -> readClient

type readClient struct {
	text []byte
	Found
}

// ownClient finds one in the definitions or in the store; [ErrNotFound].
func (e *Engine) ownClient(ctx context.Context, a *active, id string) (Found, error) {
	if c := a.set.Clients[id]; c != nil {
		return Found{Client: c}, nil
	}
	return e.storedClient(ctx, a, id)
}

// findClient looks up the client of a run as it is now.
func (e *Engine) findClient(ctx context.Context, a *active, r *run) error {
	found, err := e.ownClient(ctx, a, r.Client)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	r.client = found.Client
	return err
}

// errBarred says that the store has a client of that id, which nobody may use. It is
// nobody for all who ask, and no directory is asked for a namesake.
var errBarred = fmt.Errorf("%w: the client of the store may not be used", ErrNotFound)

// elsewhere says whether a directory may have the client that was not found.
func elsewhere(err error) bool { return errors.Is(err, ErrNotFound) && !errors.Is(err, errBarred) }

func (e *Engine) storedClient(ctx context.Context, a *active, id string) (Found, error) {
	if e.cfg.Clients == nil || a.set.ClientsFrom(flowdefs.FromStore) == nil {
		return Found{}, ErrNotFound
	}
	stored, err := e.cfg.Clients.StoredClient(ctx, id)
	if err == nil && stored.Disabled {
		err = errBarred
	}
	if err != nil {
		return Found{}, err
	}
	if known, ok := a.stored.byID.Load(id); ok && bytes.Equal(known.(readClient).text, stored.Text) {
		return known.(readClient).Found, nil
	}
	var found Found
	found.Client, found.Dropped, err = a.set.StoredClient(id, stored.Text)
	if err != nil { // also what the definitions do not let be a client any more
		e.cfg.Logger.Warn("a client of the store does not load: " + err.Error())
		return Found{}, errBarred
	}
	a.stored.byID.Store(id, readClient{stored.Text, found})
	return found, nil
}

// Client is a client as it may be now, wherever it stands; [ErrNotFound] if there is none of that id.
func (e *Engine) Client(ctx context.Context, id string) (Found, error) {
	a := e.active.Load()
	found, err := e.ownClient(ctx, a, id)
	source := a.set.ClientsFrom(flowdefs.FromDirectory)
	if !elsewhere(err) || source == nil || e.cfg.Services == nil {
		return found, err
	}
	return e.cfg.Services.Client(ctx, source, id)
}

// OwnClient is a client of the definitions or of the store: those that run flows. [ErrNotFound].
func (e *Engine) OwnClient(ctx context.Context, id string) (Found, error) {
	return e.ownClient(ctx, e.active.Load(), id)
}

// Admit finds the client that shows a secret. admitted says whether the secret was
// checked where the client stands; else it has a hash, which the caller holds it against.
// [ErrNotFound]: there is no such client, or the secret is wrong; a [*Problem] of the
// kind [KindThrottled]: there were too many attempts, of a client that is there or not.
func (e *Engine) Admit(ctx context.Context, caller Caller, id, method, secret string) (c Found, admitted bool, err error) {
	a := e.active.Load()
	if c, err = e.ownClient(ctx, a, id); !elsewhere(err) {
		return c, false, err
	}
	source := a.set.ClientsFrom(flowdefs.FromDirectory)
	if source == nil || e.cfg.Services == nil || !slices.Contains(source.Auth, method) {
		return c, false, err
	}
	ctx, cancel := lasting(ctx)
	defer cancel()
	key := e.counterOf("client\x00"+id, "directory")
	if err := e.countClient(ctx, key); err != nil {
		return Found{}, false, err
	}
	switch c, err = e.cfg.Services.Admit(ctx, source, id, secret); {
	case err == nil:
		err = e.cfg.Throttle.Change(ctx, key, clearCounter)
	case errors.Is(err, ErrNotFound):
		err = errors.Join(err, e.Refuse(ctx, caller, "invalid_client"))
	default: // nothing was checked
		err = errors.Join(err, e.cfg.Throttle.Change(ctx, key, giveBack(e.cfg.Now().UTC())))
	}
	if err != nil {
		return Found{}, false, err
	}
	own := *c.OAuth
	own.Auth = method
	one := *c.Client
	one.OAuth = &own
	return Found{&one, c.Dropped}, true, nil
}

// A service asks from many places at once, and its attempts count before they are made:
// so it has some, where people have few. Behind these each failure makes everybody wait, longer
// each time. There is no end of it: nobody else is to take a service out of use for good.
const (
	clientAttempts = 20
	clientWait     = 15 * time.Minute
)

func (e *Engine) countClient(ctx context.Context, key string) error {
	now := e.cfg.Now().UTC()
	err := e.cfg.Throttle.Change(ctx, key, func(c Counter) (Counter, error) {
		if !c.Expires.IsZero() && !now.Before(c.Expires) {
			c = Counter{}
		}
		if now.Before(c.Until) {
			return c, waitError{c.Until}
		}
		c.Failures++
		c.Until, c.Expires = time.Time{}, now.Add(forget)
		if over := c.Failures - clientAttempts; over >= 0 {
			c.Until = now.Add(min(time.Second<<min(over, 10), clientWait))
		}
		return c, nil
	})
	var wait waitError
	if errors.As(err, &wait) {
		return &Problem{Kind: KindThrottled, Code: CodeThrottled, Detail: "Too many attempts.", RetryAfter: wait.until.Sub(now)}
	}
	return err
}
