package rp

import (
	"context"
	"sync"
	"time"

	"github.com/stile-auth/stile/flows/dpop"
)

// used remembers proofs in this process for as long as they could be replayed.
// Expired ones leave a few at a time. Safe for concurrent use.
type used struct {
	now func() time.Time

	mu    sync.Mutex
	until map[string]time.Time
	order []string // oldest first
}

const sweep = 2 // of the oldest at each request: more than come

func newUsed(now func() time.Time) *used { return &used{now: now, until: map[string]time.Time{}} }

func (u *used) take(_ context.Context, thumbprint, jti string, expires time.Time) error {
	id := thumbprint + "\n" + jti
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	for range min(sweep, len(u.order)) {
		if u.until[u.order[0]].After(now) {
			break
		}
		delete(u.until, u.order[0])
		u.order = u.order[1:]
	}
	if _, again := u.until[id]; again {
		return dpop.ErrReplayed
	}
	u.until[id] = expires
	u.order = append(u.order, id)
	return nil
}
