package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStepsAllRunAndFailuresShow(t *testing.T) {
	t.Parallel()
	ends := func(err error) func(context.Context, io.Writer) error {
		return func(_ context.Context, out io.Writer) error {
			fmt.Fprintln(out, "words of", err)
			return err
		}
	}
	broken := errors.New("broken")
	tests := []struct {
		name        string
		steps       []step
		fails       bool
		shown, kept []string
	}{
		{
			"failure in the middle",
			[]step{{"one", ends(nil)}, {"two", ends(broken)}, {"three", ends(nil)}},
			true,
			[]string{"ok    one", "FAIL  two: broken", "words of broken", "ok    three", "1 of 3 checks failed"},
			[]string{"words of <nil>"},
		},
		{
			"skip",
			[]step{{"one", ends(nil)}, {"two", ends(skipError{"no net"})}},
			false,
			[]string{"SKIP  two: no net", "0 of 2 checks failed", "NOT CHECKED: two"},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := runSteps(t.Context(), &out, tt.steps); (err != nil) != tt.fails {
				t.Errorf("error %v", err)
			}
			for _, want := range tt.shown {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, out.String())
				}
			}
			for _, not := range tt.kept {
				if strings.Contains(out.String(), not) {
					t.Errorf("output has %q:\n%s", not, out.String())
				}
			}
		})
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/index/modules.json" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	if err := reachable(t.Context(), server.URL); err != nil {
		t.Error(err)
	}
	if err := reachable(t.Context(), server.URL+"/elsewhere"); err == nil {
		t.Error("a refusal counts as reachable")
	}
}

func TestCheckGenerated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, committed string
		want            string
	}{
		{"up to date", "made\n", ""},
		{"out of date", "old\n", "made.txt was not up to date"},
		{"missing", "", "made.txt was not up to date"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, map[string]string{
				"go.mod": "module example.org/m\n\ngo 1.26\n",
				"a.go":   "package a\n\n//go:generate sh -c \"echo made > made.txt\"\n",
				"dirty":  "not committed",
			})
			if tt.committed != "" {
				write(t, root, map[string]string{"made.txt": tt.committed})
			}
			git(t, root, "init", "-q")
			var out strings.Builder
			err := checkGenerated(t.Context(), root, &out)
			if (err != nil) != (tt.want != "") || !strings.Contains(out.String(), tt.want) {
				t.Errorf("error %v, output %q, want %q", err, out.String(), tt.want)
			}
		})
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	before := map[string][32]byte{"same": {1}, "gone": {1}, "other": {1}}
	after := map[string][32]byte{"same": {1}, "new": {1}, "other": {2}}
	if diff := cmp.Diff([]string{"gone", "new", "other"}, changed(before, after)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

func TestUnknownCommandFails(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	if err := dispatch(t.Context(), []string{"tset"}, &help); err == nil || !strings.Contains(help.String(), "  test ") {
		t.Errorf("error %v, help %q", err, help.String())
	}
	if err := dispatch(t.Context(), nil, io.Discard); err == nil {
		t.Error("no command at all passes")
	}
}
