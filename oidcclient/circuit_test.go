package oidcclient_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// A provider that fails is left in peace, and asked again by one at a time.
func TestCircuit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	try := func() error { _, err := w.signOn(t, oidcclient.RequestOptions{}); return err }
	w.Misbehave(oidctest.Status(oidctest.EndpointToken, http.StatusBadGateway))
	for _, step := range []struct {
		later time.Duration
		calls int
	}{{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}, {0, 5}, {9 * time.Second, 5}, {time.Second, 6}, {0, 6}, {10 * time.Second, 7}} {
		w.clock.advance(step.later)
		w.wants(t, try(), oidcclient.ErrUnavailable, step.calls)
	}
	w.Behave()
	w.wants(t, try(), oidcclient.ErrUnavailable, 7)
	w.clock.advance(10 * time.Second)
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointToken))
	first := make(chan error)
	a := w.request(t, oidcclient.RequestOptions{})
	query := w.visit(t, a)
	go func() {
		_, err := w.finish(t.Context(), a.Request, query)
		first <- err
	}()
	select {
	case <-gate.Held():
	case err := <-first:
		t.Fatalf("nobody tries: %v", err)
	}
	w.wants(t, try(), oidcclient.ErrUnavailable, 8) // while one tries, nobody else does
	gate.Release()
	if err := <-first; err != nil {
		t.Errorf("who tried: %v", err)
	}
	for range 2 {
		if err := try(); err != nil {
			t.Errorf("a provider that is well again: %v", err)
		}
	}
	w.Misbehave(oidctest.Status(oidctest.EndpointToken, http.StatusBadGateway))
	w.wants(t, try(), oidcclient.ErrUnavailable, 11)
	w.wants(t, try(), oidcclient.ErrUnavailable, 12)
}

// Codes that are no good, and people who give up, say nothing about the provider.
func TestCircuitStaysClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 10 {
		a := w.request(t, oidcclient.RequestOptions{})
		_, err := w.finish(t.Context(), a.Request, url.Values{"code": {"x"}, "state": {a.Request.State}, "iss": {w.Issuer()}}.Encode())
		w.wants(t, err, oidcclient.ErrRefused, i+1)
	}
	gate := oidctest.NewGate()
	w.Misbehave(gate.Hold(oidctest.EndpointToken))
	for range 10 {
		a := w.request(t, oidcclient.RequestOptions{})
		query := w.visit(t, a)
		gone, leave := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := w.finish(gone, a.Request, query)
			done <- err
		}()
		select {
		case <-gate.Held():
		case err := <-done:
			t.Fatalf("it was not sent: %v", err)
		}
		leave()
		if err := <-done; err == nil {
			t.Error("who gave up has signed on")
		}
	}
	gate.Release()
	w.Behave()
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
}
