// Package audit holds the recorders of audit events.
//
// Auditing is not logging: an event that cannot be recorded is an error, and
// the engine then withholds its answer. Events hold no secrets; recorders write
// them as they are.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/stile-auth/stile/flows"
)

var (
	_ flows.Recorder = (*Log)(nil)
	_ flows.Recorder = (*Memory)(nil)
)

// Log writes each event as one line. Repeated events are written again, with
// the same id. It is safe for concurrent use.
type Log struct {
	core zapcore.Core
}

// NewLog returns a recorder that writes to the logger's output, past its level
// and its sampling: neither may drop an event. Every line has the event under
// "event", its type as message and its time as time. The output should not
// buffer, because an event counts as recorded once it is written.
func NewLog(l *zap.Logger) *Log {
	return &Log{core: l.Core()}
}

// Record writes the events in order. It goes on after a failure and returns all
// failures joined.
func (l *Log) Record(_ context.Context, events ...flows.Event) error {
	var errs []error
	for _, e := range events {
		// Writing to the core directly is what passes level and sampling, and
		// what returns the error that a logger would swallow.
		entry := zapcore.Entry{Level: zapcore.InfoLevel, LoggerName: "audit", Time: e.Time, Message: e.Type}
		if err := l.core.Write(entry, []zapcore.Field{zap.Reflect("event", e)}); err != nil {
			errs = append(errs, fmt.Errorf("audit: event %s: %w", e.ID, err))
		}
	}
	return errors.Join(errs...)
}

// Memory keeps events, for tests. The zero value is ready; it is safe for concurrent use.
type Memory struct {
	mu     sync.Mutex
	events []flows.Event
	seen   map[string]bool
}

// Record keeps the events; of those with the same id only the first. An event
// without an id is an error, and then none of the call's events is kept.
func (m *Memory) Record(_ context.Context, events ...flows.Event) error {
	if slices.ContainsFunc(events, func(e flows.Event) bool { return e.ID == "" }) {
		return errors.New("audit: event without an id")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = map[string]bool{}
	}
	for _, e := range events {
		if m.seen[e.ID] {
			continue
		}
		m.seen[e.ID] = true
		m.events = append(m.events, clone(e))
	}
	return nil
}

// Events returns a copy of all events in the order in which they were recorded.
func (m *Memory) Events() []flows.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := make([]flows.Event, len(m.events))
	for i, e := range m.events {
		events[i] = clone(e)
	}
	return events
}

func clone(e flows.Event) flows.Event {
	e.AMR = slices.Clone(e.AMR)
	return e
}
