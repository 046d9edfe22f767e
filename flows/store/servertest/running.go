package servertest

import (
	"context"
	"errors"
	"testing"
)

// running is a server that tests stop and start again.
type running struct {
	process *process
	ready   func(ctx context.Context) error // nil once it serves
}

// Stop ends it like an operator does: what is under way is undone.
func (r *running) Stop(t testing.TB) { t.Helper(); r.halt(t, "stop") }

// Crash kills it.
func (r *running) Crash(t testing.TB) { t.Helper(); r.halt(t, "crash") }

func (r *running) halt(t testing.TB, word string) {
	t.Helper()
	r.process.say(t, word)
	if err := r.process.await(func(ctx context.Context) error {
		if r.ready(ctx) == nil {
			return errors.New("it still serves")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Start starts it again, with what it has on its disk.
func (r *running) Start(t testing.TB) {
	t.Helper()
	r.process.say(t, "start")
	if err := r.process.await(r.ready); err != nil {
		t.Fatal(err)
	}
}
