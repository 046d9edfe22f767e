package httpapi_test

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
	"github.com/stile-auth/stile/flows/httpapi"
)

const canary = "c4n4ry"

func TestSecretsStayOutOfLogAndMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(c *httpapi.Config) { c.Metrics = registry })
	w.engine.view.Handle = canary
	w.engine.view.Result = &flows.Result{Session: canary, Grant: &flows.Grant{Token: canary}}
	secret := canary + goodHandle[len(canary):]
	header := []string{
		"Authorization", "Flow " + secret, "DPoP", canary, "Idempotency-Key", canary + strings.Repeat("k", 20),
		"Cookie", canary, "User-Agent", canary, "Referer", canary, "X-Request-Id", canary, "Origin", "https://" + canary,
		"X-Forwarded-For", canary,
	}
	body := `{"clientId":"` + canary + `","flow":"` + canary + `","session":"` + canary + `"}`
	round := func() {
		for _, c := range [][3]string{
			{"POST", start, body},
			{"POST", start, canary},
			{"GET", "/v1/flow", ""},
			{"GET", "/v1/flow?" + canary, ""},
			{"POST", "/v1/flow/steps/" + canary + "?turn=1", body},
			{"POST", "/v1/flow/steps/" + canary + "?" + canary, body},
			{"GET", "/" + canary, ""},
			{canary, "/v1/flow", ""},
			{"DELETE", "/v1/flow", ""},
			{"POST", "/v1/flow/restart?turn=1", body},
		} {
			w.send(t, c[0], c[1], c[2], header...)
		}
		w.send(t, "GET", "/v1/flow", "", "Authorization", "Bearer "+canary)
	}
	round()
	for _, err := range []error{
		&flows.Problem{Kind: flows.KindRejected, Code: flows.CodeWrongAnswer, View: &w.engine.view},
		&flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound},
		&flows.Problem{Kind: flows.KindThrottled, Code: flows.CodeThrottled, Err: errors.New("not for this line: " + canary)},
	} {
		w.engine.err = err
		round()
	}
	w.engine.panics = canary
	round()
	w.proofs.err = dpop.ErrProof
	round()
	if n := len(w.log.lines(t)); n < 60 {
		t.Fatalf("only %d lines were logged", n)
	}
	if i := strings.Index(w.log.String(), canary); i >= 0 {
		t.Errorf("the log has it: …%s", w.log.String()[max(0, i-300):i+20])
	}
	w.engine.panics, w.engine.err, w.proofs.err = nil, nil, nil
	if got := text(t, w.send(t, "GET", "/metrics", "")); strings.Contains(got, canary) || !strings.Contains(got, "stile_http_requests_total") {
		t.Error("the metrics have it, or are empty")
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.send(t, "POST", "/v1/flow/steps/pin?turn=2", "{}")
	lines := w.log.lines(t)
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	line := lines[0]
	if line["route"] != "/v1/flow/steps/:stepId" || line["method"] != "POST" || line["status"] != 200.0 || line["run"] != "run-1" ||
		line["request_id"] != r.Header.Get("X-Request-Id") || line["duration"] == nil {
		t.Errorf("%v", line)
	}
	w.send(t, "POST", "/v1/flow/steps/pin?turn=2", "")
	if line := w.log.lines(t)[1]; line["status"] != 415.0 || line["code"] != "unsupported_media_type" {
		t.Errorf("%v", line)
	}
}

func TestRequestsCannotWriteLogLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	forged := "a%0A%7B%22level%22%3A%22info%22%7D"
	w.send(t, "GET", "/"+forged, "", "User-Agent", "x\n{\"level\":\"info\"}")
	w.send(t, "POST", "/v1/flow/steps/"+forged+"?turn=1", "{\"a\":\"\\n\"}")
	if lines := w.log.lines(t); len(lines) != 2 {
		t.Errorf("%d lines: %v", len(lines), lines)
	}
}

func TestPanicIsAnsweredAndSaysNothing(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"text": canary, "error": errors.New(canary)} {
		w := newWorld(t)
		w.engine.panics = value
		r := w.send(t, "GET", "/v1/flow", "")
		got := text(t, r)
		if r.StatusCode != 500 || !strings.Contains(got, `"code":"internal_error"`) || strings.Contains(got, canary) || r.Header.Get("Connection") != "close" {
			t.Errorf("%s: %d %s", name, r.StatusCode, got)
		}
		log := w.log.String()
		if !strings.Contains(log, "fake_test.go") || !strings.Contains(log, r.Header.Get("X-Request-Id")) || strings.Contains(log, canary) {
			t.Errorf("%s: the log says %s", name, log)
		}
		w.engine.panics = nil
		if r := w.send(t, "GET", "/v1/flow", ""); r.StatusCode != 200 {
			t.Errorf("%s: the next request: %d", name, r.StatusCode)
		}
	}
}

func TestMetricLabelsAreClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.send(t, "POST", start, `{"clientId":"c","flow":"f"}`)
	}
	for _, path := range []string{"/a", "/b", "/v1/flow/steps/x?turn=1", "/v1/flow/steps/y?turn=1"} {
		w.send(t, "BREW"+path[1:2], path, "")
		w.send(t, "GET", path, "")
	}
	w.engine.view.Flow.Status = flows.Completed
	w.send(t, "POST", answer, "{}")
	w.engine.view.Flow.Status = flows.Cancelled
	w.send(t, "DELETE", "/v1/flow", "")
	failed := view()
	failed.Flow.Status = flows.Failed
	w.engine.err = &flows.Problem{Kind: flows.KindFailed, Code: flows.CodeDenied, View: &failed}
	w.send(t, "POST", answer, "{}")
	w.engine.err = &flows.Problem{Kind: flows.KindFinished, Code: flows.CodeFinished, View: &failed}
	w.send(t, "POST", answer, "{}")

	got := text(t, w.send(t, "GET", "/metrics", ""))
	for _, want := range []string{
		`stile_flows_total{event="started",flow="mobile-banking"} 3`,
		`stile_flows_total{event="completed",flow="mobile-banking"} 1`,
		`stile_flows_total{event="cancelled",flow="mobile-banking"} 1`,
		`stile_flows_total{event="failed",flow="mobile-banking"} 1`,
		`stile_http_requests_total{method="POST",route="/v1/flows",status="2xx"} 3`,
		`stile_http_request_duration_seconds_count{route="/v1/flows"} 3`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	var labels []string
	for _, m := range regexp.MustCompile(`(route|method|status)="([^"]*)"`).FindAllStringSubmatch(got, -1) {
		labels = append(labels, m[2])
	}
	slices.Sort(labels)
	for _, label := range slices.Compact(labels) {
		if !slices.Contains([]string{
			"2xx", "4xx", "5xx", "GET", "POST", "DELETE", "other", "unmatched", "/metrics",
			"/v1/flow", "/v1/flows", "/v1/flow/steps/:stepId",
		}, label) {
			t.Errorf("a label that a request chose: %q", label)
		}
	}
}

func TestManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if r := w.send(t, "POST", answer, "{}"); !strings.HasSuffix(text(t, r), "}\n") {
					t.Error("half an answer")
				}
				if r := w.send(t, "GET", "/v1/flow", "", "Authorization", "-"); r.StatusCode != 404 {
					t.Errorf("%d", r.StatusCode)
				}
				_, _ = io.Copy(io.Discard, w.send(t, "GET", "/metrics", "").Body)
			}
		})
	}
	wg.Wait()
}
