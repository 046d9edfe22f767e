package flows_test

import (
	"testing"

	"github.com/stile-auth/stile/flows"
)

// BenchmarkRun is one whole run of two steps through the engine, without HTTP,
// hashing and signing: what the machine and its shell cost.
func BenchmarkRun(b *testing.B) {
	for name, open := range stores {
		b.Run(name, func(b *testing.B) {
			k := newKitOn(b, definitions(secretThenCode, "{ acr: aal2 }"), open(b))
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
