package node_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/assurance"
)

// renamed is the definitions with another first step, so that views tell which are active.
func renamed(step string) string {
	return strings.Replace(definitions, "id: password,", "id: "+step+",", 1)
}

type shown struct {
	Handle   string
	NextStep struct{ StepID string }
	Flow     struct{ Status string }
	Result   struct{ Session string }
}

// begin starts a run and says at which step it waits.
func begin(t *testing.T, n *node.Node) shown {
	t.Helper()
	resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
	check(t, err)
	defer resp.Body.Close()
	var v shown
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || resp.StatusCode != http.StatusCreated {
		t.Errorf("start: %d %v", resp.StatusCode, err)
	}
	return v
}

// call sends one request on a run.
func call(t *testing.T, n *node.Node, v shown, method, path, body string) (int, shown) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.URL()+path, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Authorization", "Flow "+v.Handle)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	var next shown
	check(t, json.NewDecoder(resp.Body).Decode(&next))
	if next.Handle == "" {
		next.Handle = v.Handle
	}
	return resp.StatusCode, next
}

type readiness struct {
	Definitions struct {
		Hash             string
		Since            time.Time
		LastFailedReload *struct {
			At       time.Time
			Problems int
		}
	}
}

func ready(t *testing.T, n *node.Node) readiness {
	t.Helper()
	status, body := get(t, n.URL()+"/readyz")
	var r readiness
	if err := json.Unmarshal([]byte(body), &r); err != nil || status != http.StatusOK || len(r.Definitions.Hash) != 64 || r.Definitions.Since.IsZero() {
		t.Fatalf("%d %s %v", status, body, err)
	}
	return r
}

// watched starts a node whose folder is looked at only when the test says so.
func watched(t *testing.T, cfg config.Config) *node.Node {
	t.Helper()
	return start(t, cfg, node.Options{Watch: -1})
}

func flowsFile(cfg config.Config) string { return filepath.Join(cfg.Definitions, "all.yaml") }

// New runs start on what the folder has now; runs that are under way finish on
// what they began with.
func TestReload(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "")
	n := watched(t, cfg)
	person := bench(t, n)
	before := ready(t, n)
	old := begin(t, n)
	write(t, flowsFile(cfg), renamed("secret"))
	if v := begin(t, n); v.NextStep.StepID != "password" {
		t.Errorf("before the reload a run starts at %q", v.NextStep.StepID)
	}
	check(t, n.Reload())
	if v := begin(t, n); v.NextStep.StepID != "secret" {
		t.Errorf("after the reload a run starts at %q", v.NextStep.StepID)
	}
	if status, v := call(t, n, old, http.MethodGet, "/v1/flow", ""); status != http.StatusOK || v.NextStep.StepID != "password" {
		t.Errorf("the old run: %d at %q", status, v.NextStep.StepID)
	}
	status, v := call(t, n, old, http.MethodPost, "/v1/flow/steps/password?turn=1", `{"username":"jane","password":"three quiet green hills"}`)
	if status != http.StatusOK || v.NextStep.StepID != "code" {
		t.Fatalf("the old run: %d at %q", status, v.NextStep.StepID)
	}
	status, v = call(t, n, v, http.MethodPost, "/v1/flow/steps/code?turn=2", `{"code":"`+person()+`"}`)
	if status != http.StatusOK || v.Flow.Status != "completed" {
		t.Errorf("the old run: %d %q", status, v.Flow.Status)
	}
	after := ready(t, n).Definitions
	if after.Hash == before.Definitions.Hash || !after.Since.After(before.Definitions.Since) || after.LastFailedReload != nil {
		t.Errorf("%+v, then %+v", before, after)
	}
}

// What does not load changes nothing, is reported with every problem, and is
// not tried again until it has changed.
func TestBadReload(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil    func(t *testing.T, cfg config.Config)
		problems int
		says     []string
	}{
		"mistakes": {func(t *testing.T, cfg config.Config) {
			t.Helper()
			write(t, flowsFile(cfg), strings.Replace(renamed("secret"), "type: totp", "type: topt", 1))
			write(t, filepath.Join(cfg.Definitions, "more.yaml"), "nonsense: {}\n")
		}, 2, []string{"all.yaml:7:", "more.yaml:1:1"}},
		"lifetime": {func(t *testing.T, cfg config.Config) {
			t.Helper()
			write(t, flowsFile(cfg), strings.Replace(renamed("secret"), `bank.example" }`, `bank.example", ttl: 2h }`, 1))
		}, 1, []string{"max_ttl"}},
		"a wrong section": {func(t *testing.T, cfg config.Config) {
			t.Helper()
			write(t, filepath.Join(cfg.Definitions, "more.yaml"), "providers:\n  - x\n")
		}, 1, []string{"more.yaml:2:"}},
		"empty": {func(t *testing.T, cfg config.Config) {
			t.Helper()
			check(t, os.Mkdir(filepath.Join(cfg.Definitions, "folder.yaml"), 0o700))
			check(t, os.Remove(flowsFile(cfg)))
		}, 1, []string{"nothing is defined"}},
		"gone": {func(t *testing.T, cfg config.Config) { t.Helper(); check(t, os.RemoveAll(cfg.Definitions)) }, 1, []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := folder(t, "")
			core, log := observer.New(zapcore.InfoLevel)
			n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.New(core), Now: time.Now, Watch: -1})
			check(t, err)
			t.Cleanup(func() { check(t, n.Shutdown(context.Background())) })
			before, old := ready(t, n), begin(t, n)
			tt.spoil(t, cfg)
			n.ReloadIfChanged()
			n.ReloadIfChanged()
			reports := log.FilterMessageSnippet("not reloaded").All()
			if len(reports) != 1 {
				t.Fatalf("reported %d times", len(reports))
			}
			said, _ := json.Marshal(reports[0].ContextMap())
			for _, want := range tt.says {
				if !strings.Contains(string(said), want) {
					t.Errorf("%q is not in %s", want, said)
				}
			}
			after := ready(t, n).Definitions
			if f := after.LastFailedReload; after.Hash != before.Definitions.Hash || !after.Since.Equal(before.Definitions.Since) ||
				f == nil || f.Problems != tt.problems || f.At.Before(after.Since) {
				t.Errorf("%+v, then %+v", before, after)
			}
			if v := begin(t, n); v.NextStep.StepID != "password" {
				t.Errorf("a run starts at %q", v.NextStep.StepID)
			}
			if status, _ := call(t, n, old, http.MethodGet, "/v1/flow", ""); status != http.StatusOK {
				t.Errorf("the run under way: %d", status)
			}
			if err := n.Reload(); err == nil || log.FilterMessageSnippet("not reloaded").Len() != 2 {
				t.Errorf("asked for it, it was not tried again: %v", err)
			}
			write(t, flowsFile(cfg), renamed("again"))
			_ = os.Remove(filepath.Join(cfg.Definitions, "more.yaml"))
			n.ReloadIfChanged()
			if v := begin(t, n); v.NextStep.StepID != "again" {
				t.Errorf("once it is right, a run starts at %q", v.NextStep.StepID)
			}
		})
	}
}

// The folder is watched without being asked. What is not a definition does not count.
func TestWatch(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "")
	n := start(t, cfg, node.Options{Watch: time.Millisecond})
	before := ready(t, n).Definitions
	write(t, filepath.Join(cfg.Definitions, "README.md"), "x")
	write(t, filepath.Join(cfg.Definitions, "all.test.yaml"), "scenario: x")
	write(t, filepath.Join(cfg.Definitions, "sub", "other.yaml"), "x")
	n.ReloadIfChanged()
	if after := ready(t, n).Definitions; after.Hash != before.Hash || after.LastFailedReload != nil {
		t.Errorf("%+v, then %+v", before, after)
	}
	write(t, flowsFile(cfg), renamed("secret"))
	for ready(t, n).Definitions.Hash == before.Hash { // the test's own time limit ends it
		if t.Context().Err() != nil {
			t.Fatal("not seen")
		}
	}
	if v := begin(t, n); v.NextStep.StepID != "secret" {
		t.Errorf("a run starts at %q", v.NextStep.StepID)
	}
}

// Runs start and go on while definitions come and go, good and bad ones.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "store: { type: memory }\nlimits: { burst: 0 }\n")
	n := watched(t, cfg)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := begin(t, n)
				if status, again := call(t, n, v, http.MethodGet, "/v1/flow", ""); status != http.StatusOK || again.NextStep.StepID != v.NextStep.StepID {
					t.Errorf("%d at %q, began at %q", status, again.NextStep.StepID, v.NextStep.StepID)
					return
				}
			}
		})
	}
	for i, step := range strings.Fields("a b c d e f g h") {
		write(t, flowsFile(cfg), renamed(step))
		check(t, n.Reload())
		if v := begin(t, n); v.NextStep.StepID != step {
			t.Errorf("round %d: a run starts at %q", i, v.NextStep.StepID)
		}
		write(t, flowsFile(cfg), renamed(step)+"nonsense: {}\n")
		if err := n.Reload(); err == nil {
			t.Error("nonsense was loaded")
		}
	}
	close(stop)
	load.Wait()
}

// A node that stops does not wait for those who wait.
func TestShutdownAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "shutdown: { timeout: 20s }\n")
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	check(t, err)
	v := begin(t, n)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+"/v1/flow/events", nil)
	check(t, err)
	req.Header.Set("Authorization", "Flow "+v.Handle)
	resp, err := http.DefaultClient.Do(req) // returns with the first event
	check(t, err)
	defer resp.Body.Close()
	began := time.Now()
	if err := n.Shutdown(t.Context()); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// Every target whose tokens would live too long is named, at once, before anything is made.
func TestLifetimesAreCheckedAtStart(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "tokens: { ttl: 1m, max_ttl: 10m }\n")
	write(t, flowsFile(cfg), strings.Replace(definitions, "targets:\n", `targets:
  one: { flow: password-totp, propagate: { type: bearer_jwt, audience: "https://one.bank.example", ttl: 11m } }
  two: { flow: password-totp, propagate: { type: bearer_jwt, audience: "https://two.bank.example", ttl: 10m } }
  three: { flow: password-totp, propagate: { type: bearer_jwt, audience: "https://three.bank.example", ttl: 1h } }
`, 1))
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err == nil {
		check(t, n.Shutdown(t.Context()))
		t.Fatal("it started")
	}
	for _, want := range []string{`all.yaml:9:`, `"one"`, `all.yaml:11:`, `"three"`, "11m0s", "10m0s"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"two"`) {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.DataDir); err == nil {
		t.Error("the data folder was made")
	}
}

// A browser takes cookies for the host that sets them, and for a domain that it is of.
func TestCookiesThatNoBrowserTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		domain string
		taken  bool
	}{{"bank.example", true}, {"auth.bank.example", true}, {"k.example", false}, {"shop.bank.example", false}, {"evil.example", false}} {
		cfg := folder(t, "base_url: https://auth.bank.example\n")
		write(t, flowsFile(cfg), strings.Replace(definitions, "targets:\n", `targets:
  page: { flow: password-totp, propagate: { type: cookie, audience: "https://page.bank.example", cookie: { name: __Secure-page, domain: `+c.domain+` } } }
`, 1))
		cat, err := node.Catalogue()
		check(t, err)
		set, err := node.LoadDefinitions(cfg.Definitions, cat)
		check(t, err)
		err = node.CheckTargets(set, cfg)
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", c.domain, err)
		}
	}
}

// bench adds Jane and returns what reads her one-time codes.
func bench(t *testing.T, n *node.Node) (code func() string) {
	t.Helper()
	r, err := n.Base.Registrar("test", time.Now)
	check(t, err)
	jane, err := r.Add(t.Context(), users.Person{Login: "jane", Password: "three quiet green hills", TOTP: true, Binding: assurance.AAL2})
	check(t, err)
	return func() string {
		code, err := totp.GenerateCode(base32.StdEncoding.EncodeToString(jane.Seed), time.Now())
		check(t, err)
		return code
	}
}

// Who waits hears of what another request does; who signs out has no session any more.
func TestWaitAndSignOut(t *testing.T) {
	t.Parallel()
	n := watched(t, folder(t, ""))
	code := bench(t, n)
	v := begin(t, n)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.URL()+"/v1/flow", nil)
	check(t, err)
	req.Header.Set("Authorization", "Flow "+v.Handle)
	req.Header.Set("Prefer", "wait=25")
	heard := make(chan int)
	go func() {
		defer close(heard)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			heard <- resp.StatusCode
		}
	}()
	began := time.Now()
	if status, _ := call(t, n, v, http.MethodDelete, "/v1/flow", ""); status != http.StatusOK {
		t.Errorf("cancel: %d", status)
	}
	if status := <-heard; status != http.StatusGone || time.Since(began) > 15*time.Second {
		t.Errorf("%d after %s", status, time.Since(began))
	}

	_, v = call(t, n, begin(t, n), http.MethodPost, "/v1/flow/steps/password?turn=1", `{"username":"jane","password":"three quiet green hills"}`)
	_, v = call(t, n, v, http.MethodPost, "/v1/flow/steps/code?turn=2", `{"code":"`+code()+`"}`)
	if v.Result.Session == "" {
		t.Fatalf("%+v", v)
	}

	next := func() shown {
		resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger","session":"`+v.Result.Session+`"}`))
		check(t, err)
		defer resp.Body.Close()
		var again shown
		check(t, json.NewDecoder(resp.Body).Decode(&again))
		return again
	}
	if v = next(); v.Flow.Status != "completed" { // with a new secret of the same session
		t.Fatalf("with the session: %+v", v)
	}
	for range 2 { // again is the same as once
		out, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, n.URL()+"/v1/session", nil)
		check(t, err)
		out.Header.Set("Authorization", "Session "+v.Result.Session)
		resp, err := http.DefaultClient.Do(out)
		check(t, err)
		if resp.Body.Close(); resp.StatusCode != http.StatusNoContent {
			t.Errorf("sign-out: %d", resp.StatusCode)
		}
	}
	if got := next(); got.Flow.Status != "in_progress" {
		t.Errorf("after the sign-out: %+v", got)
	}
}
