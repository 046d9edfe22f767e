package oidctest

import (
	"context"
	"sync"
)

// Gate holds requests until the test lets them go: a provider that hangs. A
// test waits for Held, so that it knows without sleeping that a request is
// inside.
type Gate struct {
	held chan string
	open chan struct{}
	once sync.Once
}

// NewGate makes a closed gate.
func NewGate() *Gate {
	return &Gate{held: make(chan string, 1024), open: make(chan struct{})}
}

// Hold is the fault that stops requests to the endpoints, all if none is
// named, until Release or until the client gives up.
func (g *Gate) Hold(endpoints ...string) Fault {
	return Fault{Before: func(ctx context.Context, endpoint string) {
		if !covers(endpoints, endpoint) {
			return
		}
		select {
		case g.held <- endpoint:
		default: // nobody has looked for 1024 requests
		}
		select {
		case <-g.open:
		case <-ctx.Done():
		}
	}}
}

// Held receives the endpoint of each request that the gate stops.
func (g *Gate) Held() <-chan string { return g.held }

// Release opens the gate for good. It may be called more than once.
func (g *Gate) Release() { g.once.Do(func() { close(g.open) }) }
