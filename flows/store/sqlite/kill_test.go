package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/sqlite"
)

// victimPath names the database of a process that writes until it is killed.
const victimPath = "STILE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimPath); path != "" {
		if err := writeForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const (
	victimRuns = 8
	victimAcks = 400
)

func victimRun(i int, version int64) flows.Record {
	return flows.Record{
		ID: fmt.Sprint(i), Version: version, Expires: start.Add(time.Hour),
		Aliases: []flows.Alias{{'v', byte(i)}}, Data: fmt.Appendf(nil, "run %d version %d %s", i, version, strings.Repeat("x", 2000)),
	}
}

// writeForEver swaps runs as fast as it can and prints each swap after it was acknowledged.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i := range victimRuns {
		wg.Go(func() {
			err := s.Create(ctx, victimRun(i, 1), start)
			for version := int64(1); err == nil; version++ {
				fmt.Printf("%d %d\n", i, version)
				err = s.Update(ctx, victimRun(i, version+1))
			}
			fmt.Fprintln(os.Stderr, err)
		})
	}
	wg.Wait()
	return s.Close()
}

// TestKilled kills a process in the middle of its writing: every write that was
// acknowledged is there, and every run is whole.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stile.db")
	acked := killed(t, path)
	s := open(t, sqlite.Config{Path: path})
	for i, version := range acked {
		r, err := s.Load(t.Context(), flows.Alias{'v', byte(i)}, start)
		if err != nil {
			t.Fatalf("run %d, acknowledged version %d: %v", i, version, err)
		}
		if r.Version < version {
			t.Errorf("run %d has version %d, acknowledged was %d", i, r.Version, version)
		}
		if want := victimRun(i, r.Version); string(r.Data) != string(want.Data) {
			t.Errorf("run %d is torn: version %d with %.40q", i, r.Version, r.Data)
		}
		if err := s.Update(t.Context(), victimRun(i, r.Version+1)); err != nil {
			t.Errorf("run %d cannot go on: %v", i, err)
		}
	}
}

// killed runs the victim, kills it, and returns the last acknowledged version of each run.
func killed(t *testing.T, path string) map[int]int64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), exe)
	child.Env = append(os.Environ(), victimPath+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[int]int64{}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == victimAcks {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var i int
		var version int64
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &i, &version); err == nil {
			acked[i] = max(acked[i], version)
		}
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the victim ended by itself")
	}
	if len(acked) != victimRuns {
		t.Fatalf("acknowledged runs: %v", acked)
	}
	return acked
}
