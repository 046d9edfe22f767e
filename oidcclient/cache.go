package oidcclient

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// cache keeps what a provider publishes. At most one fetch is under way; after
// a failure none is begun for a while, and what was fetched before is used
// until it is stale.
type cache[T any] struct {
	fresh, stale time.Duration
	now          func() time.Time
	fetch        func(context.Context) (T, error)
	group        singleflight.Group

	mu       sync.Mutex
	have     bool
	value    T
	at       time.Time // when value was fetched
	failures int
	pause    time.Time // no fetch before
	err      error     // why the last one failed
}

// failing returns why the last fetch failed, nil if it did not.
func (c *cache[T]) failing() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures == 0 {
		return nil
	}
	return c.err
}

func newCache[T any](fresh, stale time.Duration, now func() time.Time, fetch func(context.Context) (T, error)) *cache[T] {
	return &cache[T]{fresh: fresh, stale: stale, now: now, fetch: fetch}
}

// get returns the value, fetched if need be.
func (c *cache[T]) get(ctx context.Context) (T, error) {
	if v, err, ok := c.kept(); ok {
		return v, err
	}
	return c.renew(ctx)
}

// kept returns what can be said without a fetch.
func (c *cache[T]) kept() (T, error, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	switch {
	case c.have && now.Before(c.at.Add(c.fresh)):
		return c.value, nil, true
	case now.Before(c.pause):
		v, err := c.fallback(now)
		return v, err, true
	}
	return c.value, nil, false
}

// fallback is what there is when nothing can be fetched. The caller holds mu.
func (c *cache[T]) fallback(now time.Time) (T, error) {
	if c.have && now.Before(c.at.Add(c.stale)) {
		return c.value, nil
	}
	var none T
	return none, c.err
}

// renew fetches the value, or waits for the fetch that is under way. The fetch
// goes on if the caller gives up: others may wait for it.
func (c *cache[T]) renew(ctx context.Context) (T, error) {
	done := c.group.DoChan("", func() (any, error) {
		v, err := c.fetch(context.WithoutCancel(ctx))
		return c.store(v, err)
	})
	select {
	case <-ctx.Done():
		var none T
		return none, unavailable("the caller gave up")
	case r := <-done:
		v, _ := r.Val.(T)
		return v, r.Err
	}
}

func (c *cache[T]) store(v T, err error) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if err == nil {
		c.have, c.value, c.at, c.failures, c.pause = true, v, now, 0, time.Time{}
		return v, nil
	}
	c.err = err
	c.pause = now.Add(min(firstPause<<min(c.failures, 10), maxPause))
	c.failures++
	return c.fallback(now)
}
