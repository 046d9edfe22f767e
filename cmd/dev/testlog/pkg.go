package testlog

import (
	"strings"
	"time"
)

// pkg is what is known of a package while it runs.
type pkg struct {
	name   string
	tests  map[string]*test
	order  []string // names in order of appearance
	output []string // what no test wrote
	done   bool
}

type test struct {
	action  string // "pass", "fail", "skip", or "" while it runs
	elapsed float64
	output  []string
}

func (k *pkg) test(name string) *test {
	t := k.tests[name]
	if t == nil {
		t = &test{}
		k.tests[name] = t
		k.order = append(k.order, name)
	}
	return t
}

func (t *test) event(e event) {
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "fail", "skip":
		t.action, t.elapsed = e.Action, e.Elapsed
		if e.Action == "pass" {
			t.output = nil
		}
	}
}

// state is what became of a test when its package has ended: one without an
// end was running when the process died.
func (t *test) state() string {
	if t.action == "" {
		return "fail"
	}
	return t.action
}

// count adds the leaves of the package, and parents that fail although none
// of their children does.
func (k *pkg) count(to *Tally) {
	parents, blamed := map[string]bool{}, map[string]bool{}
	for _, name := range k.order {
		failed := k.tests[name].state() == "fail"
		for up, ok := parent(name); ok; up, ok = parent(up) {
			parents[up] = true
			blamed[up] = blamed[up] || failed
		}
	}
	for _, name := range k.order {
		t := k.tests[name]
		if parents[name] && (t.state() != "fail" || blamed[name]) {
			continue
		}
		k.add(to, name, t)
	}
}

func (k *pkg) add(to *Tally, name string, t *test) {
	full := k.name + " " + name
	switch t.state() {
	case "pass":
		to.Passed++
	case "fail":
		to.Failed++
	case "skip":
		to.Skipped = append(to.Skipped, full+reason(t.output))
	}
	to.Slow = append(to.Slow, Timing{full, time.Duration(t.elapsed * float64(time.Second))})
}

// crashed reports whether a test has no end, so that the process's last words
// explain it.
func (k *pkg) crashed() bool {
	for _, t := range k.tests {
		if t.action == "" {
			return true
		}
	}
	return false
}

func parent(name string) (string, bool) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], i > 0
}

// reason finds the last line that the test itself wrote before it skipped.
func reason(output []string) string {
	for i := len(output) - 1; i >= 0; i-- {
		line := strings.TrimSpace(output[i])
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return ": " + line
		}
	}
	return ""
}
