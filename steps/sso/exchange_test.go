package sso_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// A double tap: one goes on, the other is told that it is under way (409), and
// the code is sent once.
func TestDoubleTap(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	gate := oidctest.NewGate()
	k.idp.Misbehave(gate.Hold(oidctest.EndpointToken))
	first := make(chan error, 1)
	go func() {
		_, err := k.engine.Answer(context.WithoutCancel(t.Context()), tk.handle, flows.Caller{}, "sso", tk.view.Flow.Turn, body(right))
		first <- err
	}()
	<-gate.Held()
	for range 3 {
		wants(t, tk.answer(t, right), flows.KindConflict)
	}
	gate.Release()
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	k.wantTokenCalls(t, 1)
}

// Fifty at once: exactly one success, one token request.
func TestFiftyAtOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	errs := make(chan error, 50)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := k.engine.Answer(context.WithoutCancel(t.Context()), tk.handle, flows.Caller{}, "sso", tk.view.Flow.Turn, body(right))
			errs <- err
		})
	}
	wg.Wait()
	won := 0
	for range 50 {
		var p *flows.Problem
		switch err := <-errs; {
		case err == nil:
			won++
		case !errors.As(err, &p) || p.Kind != flows.KindConflict && p.Kind != flows.KindNotFound:
			t.Errorf("got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d got through", won)
	}
	k.wantTokenCalls(t, 1)
}

// A node that dies in the middle of an exchange leaves its marks, and nothing
// else. The code is not sent again; the person signs on again.
func TestExchangeThatDied(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right, first := tk.visit(t), tk.asked(t)
	k.store.dieOnUpdate(true)
	if err := tk.answer(t, right); err == nil {
		t.Fatal("the node did not die")
	}
	k.store.dieOnUpdate(false)
	k.wantTokenCalls(t, 1)
	wants(t, tk.answer(t, right), flows.KindConflict) // it may still be at work
	k.clock.advance(19 * time.Second)
	wants(t, tk.answer(t, right), flows.KindConflict)
	k.clock.advance(time.Second)
	wants(t, tk.answer(t, right), flows.KindRejected)
	k.wantTokenCalls(t, 1)
	if tk.asked(t).Parameters["state"] == first.Parameters["state"] {
		t.Error("the request is the old one")
	}
	if diff := cmp.Diff([]string{"spent"}, k.reasons(t)); diff != "" {
		t.Error(diff)
	}
	tk.completes(t)
	k.wantTokenCalls(t, 2)
}

// A provider that fails when the code was sent: 503, and the next answer gets a
// fresh request at once.
func TestExchangeThatFailed(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]oidctest.Fault{
		"500":        oidctest.Status(oidctest.EndpointToken, http.StatusInternalServerError),
		"lost":       oidctest.Cut(oidctest.EndpointToken),
		"keys gone":  oidctest.Status(oidctest.EndpointJWKS, http.StatusBadGateway),
		"not a form": oidctest.Body(oidctest.EndpointToken, "text/html", "<h1>Oops</h1>"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			tk := k.start(t, flows.StartRequest{})
			right, first := tk.visit(t), tk.asked(t)
			k.idp.Misbehave(fault)
			wants(t, tk.answer(t, right), flows.KindUnavailable)
			if tk.asked(t).Parameters["state"] != first.Parameters["state"] {
				t.Error("a failure has changed the run")
			}
			k.idp.Behave()
			wants(t, tk.answer(t, right), flows.KindRejected)
			k.wantTokenCalls(t, 1)
			k.clock.advance(time.Second) // keys are not asked for again at once
			tk.completes(t)
		})
	}
}

// The accounts cannot be asked when the code was sent already.
func TestAccountsFail(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	k.people.set(true)
	wants(t, tk.answer(t, right), flows.KindUnavailable)
	k.people.set(false)
	wants(t, tk.answer(t, right), flows.KindRejected)
	k.wantTokenCalls(t, 1)
	tk.completes(t)
}

// A client that goes away while the code is under way finds a fresh request
// when it comes back.
func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	tk := k.start(t, flows.StartRequest{})
	right := tk.visit(t)
	gate := oidctest.NewGate()
	k.idp.Misbehave(gate.Hold(oidctest.EndpointToken))
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := k.engine.Answer(ctx, tk.handle, flows.Caller{}, "sso", tk.view.Flow.Turn, body(right))
		gone <- err
	}()
	<-gate.Held()
	leave()
	wants(t, <-gone, flows.KindUnavailable)
	gate.Release()
	k.idp.Behave()
	wants(t, tk.answer(t, right), flows.KindRejected)
	tk.completes(t)
}
