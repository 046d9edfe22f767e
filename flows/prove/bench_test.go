package prove_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows/prove"
)

// fortySteps is a flow of forty steps with four chooses inside one another.
func fortySteps() string {
	var b strings.Builder
	b.WriteString(`flows:
  f:
    steps:
      - { id: sso, type: sso, with: { provider: p } }
      - id: c1
        choose:
          - { id: bio1, type: device_biometric, if: device.bound }
          - id: c2
            choose:
              - { id: code2, type: totp, if: account.has("totp") }
              - id: c3
                choose:
                  - { id: pin3, type: pin, if: 'device.bound && account.has("pin")' }
                  - id: c4
                    choose:
                      - { id: pass4, type: password, if: account.has("password") }
                      - { id: code4, type: totp, if: 'account.has("totp") && account.attributes.branch == "Zurich"' }
        on: { none: sorry, exhausted: sorry, locked: sorry }
      - { goto: c1, max: 1, if: acr < level.aal2 }
`)
	for i := range 29 {
		switch i % 6 {
		case 0:
			fmt.Fprintf(&b, "      - { id: m%d, type: message, with: { text: x }, if: account.attributes.news == \"yes\" }\n", i)
		case 1:
			fmt.Fprintf(&b, "      - { id: m%d, type: password, if: account.has(\"password\") }\n", i)
		case 2:
			fmt.Fprintf(&b, "      - { id: m%d, type: totp, if: account.has(\"totp\"), timeout: 1m, on: { timeout: sorry } }\n", i)
		default:
			fmt.Fprintf(&b, "      - { id: m%d, type: message, with: { text: x } }\n", i)
		}
	}
	b.WriteString(`      - { id: bind, type: device_enrolment, if: "!device.bound", on: { insufficient: sorry } }
    handlers:
      sorry: [{ id: s1, type: message, with: { text: x } }, { id: s2, type: message, with: { text: y } }, { fail: sorry }]
    guarantees: [sso before bind]
providers:
  p: { issuer: "https://p.example", client_id: x, assurance: { categories: [knowledge], cap: aal2 } }
`)
	return b.String()
}

// TestFortySteps holds what a large flow may cost: ten seconds and a gigabyte.
func TestFortySteps(t *testing.T) {
	set := load(t, fortySteps())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	vs, err := prove.Prove(t.Context(), set, registry(t), prove.Options{})
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	t.Logf("%d states in %s, heap %d MB", vs[0].States, took, (after.HeapSys-before.HeapSys)>>20)
	if found := prove.Findings(vs); len(found) > 0 {
		t.Error(told(found))
	}
}

func BenchmarkExamples(b *testing.B) {
	r := registry(b)
	set, err := flowdefs.Load(examples.FS, ".", r)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := prove.Prove(b.Context(), set, r, prove.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
