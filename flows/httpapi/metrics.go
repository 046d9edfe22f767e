package httpapi

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stile-auth/stile/flows"
)

// metrics have labels from closed sets only: route templates, known methods,
// classes of statuses, names of configured flows.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	flows    *prometheus.CounterVec
	handler  http.Handler
}

func newMetrics(r *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stile_http_requests_total", Help: "Requests by route, method and class of status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stile_http_request_duration_seconds", Help: "Time to answer, by route, without requests that waited for a change.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		flows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stile_flows_total", Help: "Flows by name and event (started, completed, failed, cancelled), as answered: an answer that is repeated counts again.",
		}, []string{"flow", "event"}),
		handler: promhttp.HandlerFor(r, promhttp.HandlerOpts{DisableCompression: true}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.flows} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(route, method string, status int, took time.Duration, waited bool) {
	m.requests.WithLabelValues(route, method, class(status)).Inc()
	if !waited {
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}

func class(status int) string {
	switch status / 100 {
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	default:
		return "5xx"
	}
}

// count counts what a view says has just happened.
func (m *metrics) count(status int, v *flows.View) {
	if status == http.StatusCreated {
		m.flows.WithLabelValues(v.Flow.Name, "started").Inc()
	}
	switch v.Flow.Status {
	case flows.Completed:
		m.flows.WithLabelValues(v.Flow.Name, "completed").Inc()
	case flows.Cancelled:
		m.flows.WithLabelValues(v.Flow.Name, "cancelled").Inc()
	default: // it goes on, or [metrics.countFailure] counts it
	}
}

func (m *metrics) countFailure(f *failure) {
	if f.status == http.StatusForbidden && f.view.Flow.Status == flows.Failed {
		m.flows.WithLabelValues(f.view.Flow.Name, "failed").Inc()
	}
}
