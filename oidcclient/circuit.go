package oidcclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// breaker keeps a provider's outage from costing every sign-on its time-out: after
// a few failures in a row nothing is sent for a while, then one request is.
type breaker struct {
	inner http.RoundTripper
	now   func() time.Time

	mu       sync.Mutex
	failures int
	until    time.Time // nothing is sent before
}

const (
	tolerated = 5
	resting   = 10 * time.Second
)

// errOpen reports a request that was not sent.
var errOpen = fmt.Errorf("%w: it has failed several times in a row", errUnusable)

// RoundTrip implements [http.RoundTripper].
func (b *breaker) RoundTrip(req *http.Request) (*http.Response, error) {
	if !b.allows() {
		return nil, errOpen
	}
	resp, err := b.inner.RoundTrip(req)
	if !errors.Is(err, context.Canceled) { // who gave up says nothing about the provider
		b.report(err == nil && resp.StatusCode < http.StatusInternalServerError)
	}
	return resp, err
}

// allows says whether something may be sent. While it rests, one request may for
// each period of rest.
func (b *breaker) allows() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < tolerated {
		return true
	}
	now := b.now()
	if now.Before(b.until) {
		return false
	}
	b.until = now.Add(resting)
	return true
}

// report notes what became of a request.
func (b *breaker) report(worked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if worked {
		b.failures = 0
		return
	}
	if b.failures++; b.failures >= tolerated {
		b.until = b.now().Add(resting)
	}
}
