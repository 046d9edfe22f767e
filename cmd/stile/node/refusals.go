package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/flows"
)

// refusalsEvery is how often a refusal of one kind is in the audit trail: whoever is refused
// can be so a thousand times a second, and each event is written to the disk.
const refusalsEvery = time.Minute

// refusals counts the decisions of the gateway, and has those in the audit trail by which
// somebody is refused, one a minute of each resource and reason.
type refusals struct {
	decisions *prometheus.CounterVec
	recorder  flows.Recorder
	log       *zap.Logger
	now       func() time.Time

	mu   sync.Mutex
	last map[[2]string]time.Time // by resource and reason, both from closed sets
}

func newRefusals(metrics prometheus.Registerer, recorder flows.Recorder, log *zap.Logger, now func() time.Time) (*refusals, error) {
	r := &refusals{recorder: recorder, log: log, now: now, last: map[[2]string]time.Time{}}
	r.decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stile_gateway_decisions_total", Help: "Decisions of the gateway by resource; passed, or the reason why not.",
	}, []string{"resource", "decision"})
	if err := metrics.Register(r.decisions); err != nil {
		return nil, fmt.Errorf("node: metrics: %w", err)
	}
	return r, nil
}

// decided is told of each decision; reason is "" for who passes. Who is refused is so
// whether or not it can be recorded.
func (r *refusals) decided(ctx context.Context, resource, reason string) {
	if reason == "" {
		r.decisions.WithLabelValues(resource, "passed").Inc()
		return
	}
	r.decisions.WithLabelValues(resource, reason).Inc()
	now := r.now()
	if !r.due(resource, reason, now) {
		return
	}
	err := r.recorder.Record(context.WithoutCancel(ctx), flows.Event{
		ID: rand.Text(), Time: now.UTC(), Type: flows.EventGatewayRefused, Target: resource, Reason: reason,
	})
	if err != nil {
		r.log.Error("a refusal could not be recorded", zap.String("resource", resource), zap.String("reason", reason), zap.Error(err))
	}
}

func (r *refusals) due(resource, reason string, now time.Time) bool {
	id := [2]string{resource, reason}
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[id]; ok && now.Sub(last) < refusalsEvery {
		return false
	}
	r.last[id] = now
	return true
}
