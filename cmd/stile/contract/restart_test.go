package contract_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// first and second are two versions of one flow. Under the second nobody gets
// through: it asks for more at every place.
const (
	firstVersion = `
      - { id: password, type: password }
      - id: factor
        choose: [{ id: code, type: totp }, { id: sso, type: sso, with: { provider: corporate } }]
      - { id: bind, type: device_enrolment, if: "!device.bound" }
`
	secondVersion = `
      - { id: sso, type: sso, with: { provider: corporate } }
      - { id: code, type: totp }
      - require: acr >= level.aal3
      - { id: password, type: password }
`
)

func version(steps string) string {
	_, rest, _ := strings.Cut(corners, "targets:")
	rest = strings.ReplaceAll(rest, "flow: local", "flow: changing")
	rest = strings.ReplaceAll(rest, "sign-on, local, named, bind, pin, biometric, pick, again", "changing, sign-on")
	return "flows:\n  sign-on: { steps: [{ id: sso, type: sso, with: { provider: corporate } }] }\n  changing:\n    steps:" + steps + "targets:" + rest
}

// A run finishes on the definition that it started with, whatever node goes on
// with it: also one that has never seen that definition.
func TestRunsFinishOnTheirDefinition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: version(firstVersion), store: "sqlite", fixed: true})
	prompts := []string{"PASSWORD_REQUIRED", "SELECTION_REQUIRED", "OTP_REQUIRED", "DEVICE_ENROLMENT_REQUIRED"}
	var runs []*phone
	for _, typ := range prompts {
		p := newPhone(t, w, "phone")
		p.start("target", "app")
		p.until(typ)
		runs = append(runs, p)
	}
	before := runs[1].show()
	lost := runs[3].right()
	w.close(t)

	write(t, filepath.Join(w.cfg.Definitions, "all.yaml"), version(secondVersion))
	w.start(t)
	defer func() { w.close(t) }()
	if after := runs[1].show(); after.body != before.body {
		t.Errorf("the restart changed the run:\n%s%s", before.body, after.body)
	}
	runs[3].post(runs[3].view.NextStep.forward(), lost) // a prompt that was read before is answered after
	for i, p := range runs {
		if i == 0 {
			p.answer() // the password
		}
		claims := w.claimsOf(t, p.finish())
		if claims["acr"] != "aal2" {
			t.Errorf("%s: %v", prompts[i], claims)
		}
	}
	fresh := newPhone(t, w, "phone")
	fresh.start("target", "app")
	if fresh.view.NextStep.Type != ssoPrompt {
		t.Errorf("a new run begins with %s", fresh.view.NextStep.Type)
	}
	fresh.until("OTP_REQUIRED")
	if r := fresh.post(fresh.view.NextStep.forward(), fresh.right()); !r.is(403, "requirement_not_met") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Two nodes on one file, one with the old definitions and one with the new:
// every run goes on at either, on its own definition.
func TestTwoVersionsAtOnce(t *testing.T) {
	t.Parallel()
	old := newWorld(t, t, setup{definitions: version(firstVersion), store: "sqlite"})
	old.cfg.BaseURL = "http://stile.internal:8080" // of both
	must(t, old.node.Shutdown(t.Context()))
	old.start(t)
	defer old.close(t)
	next := *old
	write(t, filepath.Join(next.cfg.Definitions, "all.yaml"), version(secondVersion))
	next.start(t)
	defer next.close(t)
	nodes := []*world{old, &next}
	for i, begins := range nodes {
		p := newPhone(t, begins, "phone")
		p.http = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "stile.internal:8080" { // the balancer
				r = r.Clone(r.Context())
				r.URL.Host = p.w.node.Addr().String()
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
		p.start("target", "app")
		for turn := 1; p.view.NextStep != nil && turn < 9; turn++ {
			p.w = nodes[(i+turn)%2]
			r := p.post(p.view.NextStep.forward(), p.right())
			if i == 1 && r.is(403, "requirement_not_met") {
				break
			}
			if r.status != http.StatusOK {
				t.Fatalf("run %d, turn %d: %d %s", i, turn, r.status, r.body)
			}
		}
		if want := []string{"completed", "failed"}[i]; p.view.Flow.Status != want {
			t.Errorf("the run that the %s version began is %s", []string{"first", "second"}[i], p.view.Flow.Status)
		}
	}
}
