package flowdefs_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// A file over the limit is refused without being parsed: its text is no YAML.
func TestLargeFile(t *testing.T) {
	t.Parallel()
	text := "{" + strings.Repeat("x", 256<<10)
	started := time.Now()
	_, err := load(text)
	if err == nil || err.Error() != "f.yaml:1:1: the file is larger than the 262144 bytes that are read" {
		t.Errorf("got %v", err)
	}
	if took := time.Since(started); took > time.Second {
		t.Errorf("took %s", took)
	}
}

func TestLargestFileLoads(t *testing.T) {
	t.Parallel()
	text := "flows: {f: {steps: [{id: a, type: totp}]}}\n#"
	mustLoad(t, text+strings.Repeat("x", 256<<10-len(text)))
}

// Each of these is small to write and made to be dear to read.
func TestHostileFilesAreCheap(t *testing.T) {
	t.Parallel()
	const room = 250 << 10
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9))
	}
	for name, text := range map[string]string{
		"alias bomb":      bomb,
		"brackets":        strings.Repeat("[", room),
		"braces":          strings.Repeat("{", room),
		"explicit keys":   strings.Repeat("? ", room/2),
		"dashes":          strings.Repeat("- ", room/2),
		"question braces": strings.Repeat("{? ", room/3),
		"quoted keys":     "flows: {" + strings.Repeat(`"x": 1, `, room/8) + "}",
		"many keys":       manyKeys(room),
		"huge string":     "flows: \"" + strings.Repeat("x", room) + "\"",
		"huge plain":      "flows: " + strings.Repeat("x ", room/2),
		"huge key":        strings.Repeat("x", room) + ": 1",
		"escapes":         "flows: \"" + strings.Repeat(`\x41`, room/4) + "\"",
		"block text":      "flows: |\n" + strings.Repeat(" x\n", room/3),
		"blank lines":     "flows:" + strings.Repeat("\n", room) + " x",
		"comments":        strings.Repeat("#\n", room/2) + "[",
		"commas":          "[" + strings.Repeat(",", room),
		"documents":       strings.Repeat("--- a\n", room/6),
		"conditions":      "flows: {f: {steps: [" + strings.Repeat("{require: a}, ", room/14) + "]}}",
		"bad conditions":  "flows: {f: {steps: [" + strings.Repeat("{require: "+strings.Repeat("(", 490)+"}, ", 500) + "]}}",
		"long expression": "flows: {f: {steps: [{require: '" + strings.Repeat("true && ", room/8) + "true'}]}}",
		"deep expression": "flows: {f: {steps: [{require: '" + "target" + strings.Repeat(".a", 1000) + "'}]}}",
		"long names":      "clients: {a: {flows: [" + strings.Repeat(strings.Repeat("x", 60)+"y, ", room/64) + "]}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := time.Now()
			if _, err := load(text); err == nil {
				t.Error("loads")
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("took %s", took)
			} else {
				t.Logf("took %s", took)
			}
		})
	}
}

func manyKeys(room int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < room; i++ {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

// Counting costs nothing, compiling does: the limit is checked before.
func TestConditionLimitComesBeforeCompiling(t *testing.T) {
	t.Parallel()
	flow := func(n int) string {
		var b strings.Builder
		b.WriteString("flows: {f: {steps: [")
		for i := range n {
			fmt.Fprintf(&b, "{require: nobody%d}, ", i)
		}
		return b.String() + "]}}"
	}
	_, err := load(flow(501))
	if err == nil || strings.Contains(err.Error(), "nobody") || !strings.Contains(err.Error(), "501 conditions") {
		t.Errorf("got %v", err)
	}
	if _, err := load(flow(500)); err == nil || strings.Count(err.Error(), "\n") != 499 {
		t.Error("500 conditions are not all looked at")
	}
}

func TestEqualExpressionsAreCompiledOnce(t *testing.T) {
	flow := func(expression func(i int) string) fstest.MapFS {
		var b strings.Builder
		b.WriteString("flows: {f: {steps: [{id: a, type: totp}, ")
		for i := range 400 {
			fmt.Fprintf(&b, "{require: '%s'}, ", expression(i))
		}
		return fstest.MapFS{"f.yaml": {Data: []byte(b.String() + "]}}")}}
	}
	cost := func(files fstest.MapFS) float64 {
		return testing.AllocsPerRun(2, func() {
			if _, err := flowdefs.Load(files, ".", catalogue{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	equal := cost(flow(func(int) string { return `target == "x000"` }))
	different := cost(flow(func(i int) string { return fmt.Sprintf(`target == "x%03d"`, i) }))
	if equal*3 > different {
		t.Errorf("%.0f allocations for 400 equal expressions, %.0f for 400 different ones", equal, different)
	}
}
