package flows_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// BenchmarkRun is one whole run of two steps through the engine, without HTTP,
// hashing and signing: what the machine and its shell cost.
func BenchmarkRun(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			k := newKitOn(b, definitions(secretThenCode, "{ acr: aal2 }"), open(b, b))
			b.ReportAllocs()
			for b.Loop() {
				k.events.events, k.tokens.got = nil, nil
				tk := k.must(flows.StartRequest{Target: "t", LoginHint: "jane"})
				tk.ok("ok", "")
				tk.ok("ok", "")
			}
		})
	}
}

// BenchmarkAdvance is one transition of the machine alone, on a flow of 60 steps
// without conditions, averaged over the whole run: a prompt is asked, and
// answered. It has five microseconds, however many flows are loaded beside it.
func BenchmarkAdvance(b *testing.B) {
	for _, loaded := range []int{1, 1000} {
		b.Run(fmt.Sprintf("flows=%d", loaded), func(b *testing.B) {
			trials := sixtySteps(b, loaded)
			proof := flows.Pass(flows.Proof{Subject: "sub-jane", Evidence: (fake{typ: "secret"}).evidence("jane-secret")})
			b.ReportAllocs()
			moves := 0
			for i := 0; b.Loop(); i++ {
				tr := *trials[i%loaded]
				at := tr.Do("begin", "", flows.Outcome{})
				for step := 0; at == "enter"; step++ {
					tr.Do("outcome", "", flows.Ask(flows.Prompt{}))
					answer := flows.Done()
					if step%4 == 0 {
						answer = proof
					}
					at = tr.Do("outcome", "", answer)
					moves += 2
				}
				if at != "complete" {
					b.Fatal(at)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(moves), "ns/move")
		})
	}
}

// sixtySteps makes runs that have not begun, each of another flow of 60 steps.
func sixtySteps(t testing.TB, n int) []*flows.Trial {
	t.Helper()
	reg, err := flows.NewRegistry((&kit{}).types()...)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for i := range n {
		var text strings.Builder
		fmt.Fprintf(&text, "flows:\n  f%d:\n    steps:\n", i)
		for j := range 60 {
			typ := "note"
			if j%4 == 0 {
				typ = "secret"
			}
			fmt.Fprintf(&text, "      - { id: step-%d, type: %s }\n", j, typ)
		}
		files[fmt.Sprintf("f%d.yaml", i)] = &fstest.MapFile{Data: []byte(text.String())}
	}
	set, err := flowdefs.Load(files, ".", reg)
	if err != nil {
		t.Fatal(err)
	}
	var out []*flows.Trial
	for _, f := range set.Flows {
		trial, err := flows.NewTrial(f, reg, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		trial.Claim(person("jane", flows.AccountActive, "secret"))
		out = append(out, trial)
	}
	return out
}
