package bench

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// Both are measured, and what is slower than it may be is said and is an error.
func TestGateway(t *testing.T) {
	t.Parallel()
	all, err := measureGateway(t.Context(), 50)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, d := range all {
		if d.Server <= 0 || d.Floor <= 0 {
			t.Errorf("%+v", d)
		}
	}
	all[0].Server, all[1].Server = all[0].Floor, all[1].Floor/2
	var out bytes.Buffer
	if err := tableGateway(&out, all); !errors.Is(err, errOverLimit) || strings.Count(out.String(), "TOO SLOW") != 1 {
		t.Errorf("%v\n%s", err, out.String())
	}
}
