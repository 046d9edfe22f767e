package setup

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"there/x": ""})
	absent := []string{"stile-no-such-program"}
	tests := []struct {
		name    string
		program Program
		missing bool
	}{
		{"there", Program{Binaries: []string{"go"}}, false},
		{"absent", Program{Binaries: absent}, true},
		{"one of two", Program{Binaries: append([]string{"go"}, absent...)}, true},
		{"not needed here", Program{Binaries: absent, OnlyWith: "not/there"}, false},
		{"needed here", Program{Binaries: absent, OnlyWith: "there/x"}, true},
		{"there but broken", Program{Binaries: []string{"go"}, Probe: []string{"go", "no-such-command"}}, true},
		{"there and working", Program{Binaries: []string{"go"}, Probe: []string{"go", "env", "GOOS"}}, false},
		{"probe reads its input", Program{Probe: []string{"gofmt", "-e"}, Input: "not go"}, true},
	}
	for _, tt := range tests {
		if got := len(Missing(t.Context(), root, []Program{tt.program})) == 1; got != tt.missing {
			t.Errorf("%s: missing %v, want %v", tt.name, got, tt.missing)
		}
	}
}

func TestInstallSaysWhatToInstall(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir) // neither the program nor apt-get
	p := Program{Name: "frobnicator", Why: "for fun", Binaries: []string{"frob"}, Apt: []string{"frob-tools", "libfrob"}}
	err := Install(t.Context(), dir, []Program{p}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "frobnicator (for fun)") || !strings.Contains(err.Error(), "apt-get install frob-tools libfrob") {
		t.Errorf("error %v does not say what to install", err)
	}
}

// A machine with an apt-get that installs what it is asked for, seen from
// root's or sudo's side.
func TestInstallInstalls(t *testing.T) {
	bin := t.TempDir()
	write(t, bin, map[string]string{
		"apt-get": "#!/bin/sh\nPATH=/usr/bin:/bin\necho \"$DEBIAN_FRONTEND $*\" >>" + bin + "/log\ncase \"$*\" in *frob-tools*) cd " + bin + "; touch frob frobctl; chmod +x frob frobctl;; esac\n",
		"env":     "#!/bin/sh\nwhile case $1 in *=*) true;; *) false;; esac; do export \"$1\"; shift; done\nexec \"$@\"\n",
		"sudo":    "#!/bin/sh\nshift\ncase $1 in true) exit 0;; esac\nexec \"$@\"\n",
	})
	for _, name := range []string{"apt-get", "env", "sudo"} {
		if err := os.Chmod(filepath.Join(bin, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	programs := []Program{
		{Name: "frobnicator", Binaries: []string{"frob"}, Apt: []string{"frob-tools"}},
		{Name: "frobctl", Binaries: []string{"frobctl"}, Apt: []string{"in-conflict-with-frob-tools"}},
	}
	for range 2 { // the second time there is nothing to do
		if err := Install(t.Context(), bin, programs, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	log, _ := os.ReadFile(filepath.Join(bin, "log"))
	want := "noninteractive -q update\nnoninteractive -q install -y --no-install-recommends frob-tools\n"
	if string(log) != want {
		t.Errorf("apt-get was called with\n%swant\n%s", log, want)
	}
}

func TestInstallNoticesThatNothingCame(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\nexit 0\n"
	write(t, bin, map[string]string{"apt-get": script, "env": script, "sudo": script})
	for _, name := range []string{"apt-get", "env", "sudo"} {
		if err := os.Chmod(filepath.Join(bin, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	err := Install(t.Context(), bin, []Program{{Name: "frobnicator", Binaries: []string{"frob"}, Apt: []string{"x"}}}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "frobnicator is missing after") {
		t.Errorf("error %v, want that it is still missing", err)
	}
}

// fakeNpm stands for "npm ci" and counts its calls.
func fakeNpm(calls *int) func(context.Context, string) error {
	return func(_ context.Context, dir string) error {
		*calls++
		return os.Mkdir(filepath.Join(dir, "node_modules"), 0o700)
	}
}

func TestNpmWorksOnACopyAndOnce(t *testing.T) {
	t.Parallel()
	source, cache, calls := t.TempDir(), filepath.Join(t.TempDir(), "cache"), 0
	write(t, source, map[string]string{"package.json": "{}", "package-lock.json": "1", "node_modules/stray/x.js": "x", "views/page.html": "p"})
	first, err := npm(t.Context(), source, cache, fakeNpm(&calls), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	again, err := npm(t.Context(), source, cache, fakeNpm(&calls), io.Discard)
	if err != nil || again != first || calls != 1 {
		t.Errorf("second call: %s, %v, %d installs; want %s and one install", again, err, calls, first)
	}
	for name, want := range map[string]bool{"package.json": true, "views/page.html": true, "node_modules": true, "node_modules/stray": false} {
		if _, err := os.Stat(filepath.Join(first, name)); (err == nil) != want {
			t.Errorf("%s in the copy: %v, want %v", name, err == nil, want)
		}
	}
	write(t, source, map[string]string{"package-lock.json": "2"})
	other, err := npm(t.Context(), source, cache, fakeNpm(&calls), io.Discard)
	if err != nil || other == first || calls != 2 {
		t.Errorf("after a change: %s, %v, %d installs; want a new copy", other, err, calls)
	}
}

func TestNpmLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	source, cache := t.TempDir(), t.TempDir()
	write(t, source, map[string]string{"package-lock.json": "1"})
	broken := func(context.Context, string) error { return errors.New("registry is down") }
	if _, err := npm(t.Context(), source, cache, broken, io.Discard); err == nil {
		t.Error("a failed install passed for one")
	}
	if left, _ := os.ReadDir(cache); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNpmWithoutFolderIsSkippedAloud(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	none := filepath.Join(t.TempDir(), "none")
	dir, err := npm(t.Context(), none, t.TempDir(), fakeNpm(new(int)), &log)
	if dir != "" || err != nil || !strings.Contains(log.String(), none) {
		t.Errorf("dir %q, error %v, log %q", dir, err, log.String())
	}
}
