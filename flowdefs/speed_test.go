//go:build unix

package flowdefs_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// best is the CPU time of the cheapest of some runs: what else the machine does
// only makes them dearer.
func best(t *testing.T, runs int, do func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	least := time.Duration(1 << 62)
	for range runs {
		before := used()
		do()
		least = min(least, used()-before)
	}
	return least
}

// What is too large is refused within ten milliseconds, before the work that it asks for.
func TestTooMuchIsRefusedAtOnce(t *testing.T) {
	var many strings.Builder
	for i := range 501 {
		fmt.Fprintf(&many, "{require: 'target == \"t%d\" || account.attributes.a%d == \"x\"'}, ", i, i)
	}
	for name, text := range map[string]string{
		"a byte too many":       "flows: {f: {steps: [{id: a, type: totp}]}}\n#" + strings.Repeat("x", 256<<10),
		"a condition too many":  "flows: {f: {steps: [" + many.String() + "]}}",
		"a megabyte too many":   strings.Repeat("a: [", 1<<18),
		"a thousand references": "flows: {f: {steps: [" + strings.Repeat("*a, ", 1000) + "]}}",
	} {
		took := best(t, 10, func() {
			if _, err := load(text); err == nil {
				t.Fatalf("%s: loads", name)
			}
		})
		if took > 10*time.Millisecond*slower {
			t.Errorf("%s: refused after %s", name, took)
		}
	}
}

// What is read takes less than a second per megabyte, whatever it is.
func TestAMegabyteASecond(t *testing.T) {
	const room = 255 << 10
	fill := func(piece, around string) string {
		return fmt.Sprintf(around, strings.Repeat(piece, (room-len(around))/len(piece)))
	}
	flows := func() string {
		var b strings.Builder
		b.WriteString("flows:\n")
		for i := 0; b.Len() < room-200; i++ {
			fmt.Fprintf(&b, "  f%d: {steps: [{id: a, type: password}, {id: b, type: totp, if: device.bound}, {require: acr >= level.aal1}]}\n", i)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"flows":       flows(),
		"commas":      fill(",", "[%s]"),
		"many keys":   manyKeys(room - 10),
		"quoted keys": fill(`"x": 1, `, "flows: {%s}"),
		"documents":   fill("--- a\n", "%s"),
		"words":       fill("x ", "flows: %s"),
		"braces":      fill("{", "%s"),
		"long names":  fill(strings.Repeat("x", 60)+"y, ", "clients: {a: {flows: [%s]}}"),
		"conditions":  fill("{require: a}, ", "flows: {f: {steps: [%s]}}"),
	} {
		took := best(t, 3, func() { _, _ = load(text) })
		limit := time.Duration(float64(len(text)) / (1 << 20) * float64(time.Second))
		if took > limit*slower {
			t.Errorf("%s: %d bytes took %s, more than %s", name, len(text), took, limit)
		} else {
			t.Logf("%s: %d bytes took %s of %s", name, len(text), took, limit)
		}
	}
}
