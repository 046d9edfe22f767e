package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/audit"
)

func event(id string) flows.Event {
	return flows.Event{
		ID: id, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Type: "step_passed", Run: "run", Flow: "flow",
		Step: "step", Turn: 2, Client: "app", Subject: "jane", Target: "payments", Reason: "none", ACR: "aal2",
		AMR: []string{"otp", "pwd"},
	}
}

func logger(w zapcore.WriteSyncer, level zapcore.Level) zapcore.Core {
	return zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), w, level)
}

func TestLogWritesTheWholeEvent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := audit.NewLog(zap.New(logger(zapcore.AddSync(&out), zap.InfoLevel)))
	if err := l.Record(t.Context(), event("1"), event("2")); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), out.Bytes())
	}
	for i, line := range lines {
		var got struct {
			Logger string
			Msg    string
			Ts     float64
			Event  flows.Event
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		want := event([]string{"1", "2"}[i])
		if diff := cmp.Diff(want, got.Event); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got.Logger != "audit" || got.Msg != want.Type || got.Ts != float64(want.Time.Unix()) {
			t.Errorf("line: %s", line)
		}
	}
}

// A logger that samples and that is silent below error still records every event.
func TestLogDropsNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	core := zapcore.NewSamplerWithOptions(logger(zapcore.AddSync(&out), zap.ErrorLevel), time.Hour, 1, 0)
	l := audit.NewLog(zap.New(core))
	for range 10 {
		if err := l.Record(t.Context(), event("1")); err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 10 {
		t.Errorf("%d lines of 10", n)
	}
}

var errFull = errors.New("disk is full")

type full struct{}

func (full) Write([]byte) (int, error)                    { return 0, errFull }
func (full) Sync() error                                  { return nil }
func (full) Record(context.Context, ...flows.Event) error { return errFull }

func recorded(m *audit.Memory) (ids []string) {
	for _, e := range m.Events() {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestLogReportsFailure(t *testing.T) {
	t.Parallel()
	l := audit.NewLog(zap.New(logger(full{}, zap.InfoLevel)))
	if err := l.Record(t.Context(), event("1")); !errors.Is(err, errFull) {
		t.Errorf("err = %v, want %v", err, errFull)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	var m audit.Memory
	if err := m.Record(t.Context(), event("1"), event("2"), event("1")); err != nil {
		t.Fatal(err)
	}
	if err := m.Record(t.Context(), event("2"), event("3")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, recorded(&m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := m.Record(t.Context(), event("4"), event("")); err == nil {
		t.Error("an event without an id is taken")
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, recorded(&m)); diff != "" {
		t.Errorf("after an error (-want +got):\n%s", diff)
	}
}

func TestMemoryCopies(t *testing.T) {
	t.Parallel()
	var m audit.Memory
	given := event("1")
	if err := m.Record(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	given.AMR[0] = "changed"
	m.Events()[0].AMR[0] = "changed"
	if diff := cmp.Diff([]flows.Event{event("1")}, m.Events()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
