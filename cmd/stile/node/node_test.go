package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/seal"
)

const definitions = `
flows:
  password-totp:
    description: Two local factors.
    steps:
      - { id: password, type: password }
      - { id: code, type: totp }
targets:
  ledger:
    flow: password-totp
    propagate: { type: bearer_jwt, audience: "https://ledger.bank.example" }
clients:
  bench: { flows: [password-totp], targets: [ledger], dpop: optional }
`

// folder makes a configuration file with definitions beside it and loads it.
func folder(t *testing.T, more string) config.Config {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "flows", "all.yaml"), definitions)
	write(t, filepath.Join(dir, "stile.yaml"), "listen: 127.0.0.1:0\ndefinitions: flows\n"+more)
	cfg, err := config.Load(filepath.Join(dir, "stile.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, cfg config.Config, opts node.Options) *node.Node {
	t.Helper()
	opts.Logger, opts.Now = zap.NewNop(), time.Now
	n, err := node.Start(t.Context(), cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServes(t *testing.T) {
	t.Parallel()
	n := start(t, folder(t, ""), node.Options{})
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/metrics": "go_goroutines",
		"/.well-known/jwks.json": `"ES256"`, "/.well-known/openid-configuration": n.URL(),
		"/openapi.json": `"PASSWORD_REQUIRED"`,
	} {
		if status, body := get(t, n.URL()+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var view struct{ NextStep struct{ Type string } }
	if err := json.NewDecoder(resp.Body).Decode(&view); err != nil || resp.StatusCode != http.StatusCreated || view.NextStep.Type != "PASSWORD_REQUIRED" {
		t.Errorf("%d %+v %v", resp.StatusCode, view, err)
	}
}

// What lies on the disk is for its owner alone.
func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "audit: { to: file }\n")
	start(t, cfg, node.Options{})
	if info, err := os.Stat(cfg.DataDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data folder: %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(cfg.DataDir)
	if err != nil || len(files) < 4 {
		t.Errorf("got %d files, %v", len(files), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestMasterKey(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, path string){
		"gone":      func(t *testing.T, path string) { t.Helper(); check(t, os.Remove(path)) },
		"open":      func(t *testing.T, path string) { t.Helper(); check(t, os.Chmod(path, 0o640)) },
		"too short": func(t *testing.T, path string) { t.Helper(); check(t, os.WriteFile(path, []byte("c2hvcnQ\n"), 0o600)) },
		"no base64": func(t *testing.T, path string) {
			t.Helper()
			check(t, os.WriteFile(path, []byte(strings.Repeat("!", 43)), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := folder(t, "")
			base, err := node.OpenBase(t.Context(), cfg, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			check(t, base.Close())
			spoil(t, filepath.Join(cfg.DataDir, "master.key"))
			base, err = node.OpenBase(t.Context(), cfg, io.Discard)
			if !errors.Is(err, node.ErrMasterKey) {
				t.Errorf("got %v, %v", base, err)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A named master key that is not there is never made up.
func TestNamedMasterKeyIsNotMade(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "keys: { master: { file: not-there } }\n")
	if _, err := node.OpenBase(t.Context(), cfg, io.Discard); !errors.Is(err, node.ErrMasterKey) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(cfg.Keys.Master.File); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// What was sealed before a restart opens after it, and not under another master key.
func TestKeysSurviveRestart(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "")
	first, err := node.OpenBase(t.Context(), cfg, io.Discard)
	check(t, err)
	sealed, err := first.Sealer.Seal([]byte("seed"), []byte("place"))
	check(t, err)
	hash, err := first.Hasher.Hash(t.Context(), "three quiet green hills")
	check(t, errors.Join(err, first.Close()))

	second, err := node.OpenBase(t.Context(), cfg, io.Discard)
	check(t, err)
	defer second.Close()
	if plain, err := second.Sealer.Open(sealed, []byte("place")); err != nil || string(plain) != "seed" {
		t.Errorf("got %q, %v", plain, err)
	}
	check(t, second.Hasher.Verify(t.Context(), hash, "three quiet green hills"))

	other, err := node.OpenBase(t.Context(), folder(t, ""), io.Discard)
	check(t, err)
	defer other.Close()
	if _, err := other.Sealer.Open(sealed, []byte("place")); err == nil {
		t.Error("sealed with one master key, opened with another")
	}
	if err := other.Hasher.Verify(t.Context(), hash, "three quiet green hills"); err == nil {
		t.Error("the pepper is the same under another master key")
	}
}

func TestEveryProblemOfTheDefinitions(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "")
	write(t, filepath.Join(cfg.Definitions, "more.yaml"), "flows:\n  broken:\n    steps:\n      - { id: a, type: nonsense }\n      - { id: b, type: totp, iff: x }\n")
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	var problems flowdefs.Problems
	if !errors.As(err, &problems) || len(problems) < 2 || n != nil {
		t.Fatalf("got %v", err)
	}
	for _, p := range problems {
		if p.Pos.File != filepath.Join(cfg.Definitions, "more.yaml") || p.Pos.Line == 0 {
			t.Errorf("%v", p)
		}
	}
	if _, err := os.Stat(cfg.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a start that failed left data behind: %v", err)
	}
}

// Handles and tokens must not travel in the clear by mistake.
func TestOpenAddressNeedsBaseURL(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "store: { type: memory }\n")
	cfg.Listen = "0.0.0.0:0"
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "base_url") {
		t.Fatalf("got %v, %v", n, err)
	}
}

// Readiness ends first; what is under way finishes; then nothing is left.
func TestShutdown(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "store: { type: memory }\nshutdown: { delay: 2s, timeout: 5s }\n")
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	check(t, err)
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.Shutdown(context.Background()) }()
	for n.Ready(t.Context()) == nil { // until Shutdown has begun
	}
	if status, body := get(t, n.URL()+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("not ready and yet %d %s", status, body)
	}
	if status, _ := get(t, n.URL()+"/healthz"); status != http.StatusOK {
		t.Errorf("during the delay it must serve, and answered %d", status)
	}
	check(t, <-done)
	if conn, err := net.Dial("tcp", n.Addr().String()); err == nil {
		conn.Close()
		t.Error("still listening")
	}
	check(t, n.Shutdown(context.Background()))
}

func TestAuditGoesWhereItIsConfigured(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "audit: { to: file }\n")
	base, err := node.OpenBase(t.Context(), cfg, io.Discard)
	check(t, err)
	defer base.Close()
	check(t, base.Recorder.Record(t.Context(), flows.Event{ID: "e-1", Time: time.Now(), Type: flows.EventRunStarted, Run: "r-1"}))
	text, err := os.ReadFile(cfg.Audit.Path)
	check(t, err)
	var line struct {
		Type  string
		Event flows.Event
	}
	if err := json.Unmarshal(text, &line); err != nil || line.Type != flows.EventRunStarted || line.Event.Run != "r-1" {
		t.Errorf("%s: %v", text, err)
	}
}

func TestOptionsAreRequired(t *testing.T) {
	t.Parallel()
	if _, err := node.Start(t.Context(), folder(t, ""), node.Options{}); err == nil {
		t.Error("no error")
	}
}

const withProvider = `
flows:
  sign-on:
    steps: [{ id: sso, type: sso, with: { provider: corporate } }]
targets:
  app: { flow: sign-on, propagate: { type: bearer_jwt, audience: "https://app.bank.example" } }
providers:
  corporate:
    { issuer: "https://idp.bank.example", client_id: stile, client_secret: { env: STILE_TEST_NOT_SET },
      scopes: [openid], assurance: { categories: [knowledge], cap: aal1 } }
clients:
  web: { flows: [sign-on], targets: [app], redirect_uris: ["https://app.bank.example/cb"], dpop: optional }
`

// refused is a transport that must not be used.
type refused struct{ t *testing.T }

func (r refused) RoundTrip(q *http.Request) (*http.Response, error) {
	r.t.Errorf("%s was asked", q.URL)
	return nil, errors.New("refused")
}

// A provider without its secret is reported, is never asked, and its step answers 503.
func TestProviderWithoutSecret(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "")
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), withProvider)
	n := start(t, cfg, node.Options{ProviderTransport: refused{t}})
	if got := n.MissingSecrets(); len(got) != 1 || got[0] != "corporate" {
		t.Errorf("got %v", got)
	}
	resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"web","target":"app"}`))
	check(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// The configuration replaces issuer and secret of a provider by name.
func TestProviderReplaced(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "providers: { corporate: { issuer: \"https://other.bank.example\", client_secret: { file: secret } } }\n")
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), withProvider)
	write(t, cfg.Providers["corporate"].ClientSecret.File, "s3cret\n")
	asked := make(chan string, 9)
	n := start(t, cfg, node.Options{ProviderTransport: transport(func(q *http.Request) (*http.Response, error) {
		asked <- q.URL.Host
		return nil, errors.New("down")
	})})
	if got := n.MissingSecrets(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"web","target":"app"}`))
	check(t, err)
	defer resp.Body.Close()
	if host := <-asked; host != "other.bank.example" || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("asked %s, answered %d", host, resp.StatusCode)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// A misspelled name would otherwise leave the wrong issuer in place.
func TestReplacedProviderMustExist(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "providers: { corporat: { issuer: \"https://other.bank.example\" } }\n")
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), withProvider)
	n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "corporat:") {
		t.Errorf("got %v, %v", n, err)
	}
}

// What has expired is removed.
func TestSweep(t *testing.T) {
	t.Parallel()
	cfg := folder(t, "store: { type: memory }\nruns: { ttl: 1ms }\n")
	n := start(t, cfg, node.Options{})
	for range 300 { // more than one step removes
		resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
		check(t, err)
		resp.Body.Close()
	}
	n.SweepOnce(t.Context())
	left, err := n.Base.Store.DeleteExpired(t.Context(), time.Now().Add(time.Hour), 1000)
	if err != nil || left > 1 { // the last may not have expired when it was swept
		t.Errorf("%d left, %v", left, err)
	}
}

// One key per purpose: knowing one of them tells nothing about the others.
func TestDerivedKeysDiffer(t *testing.T) {
	t.Parallel()
	master := bytes.Repeat([]byte{7}, seal.KeySize)
	pepper, decoy, sealed, err := node.Derived(master, []byte("seed"))
	check(t, err)
	if bytes.Equal(pepper, decoy) {
		t.Error("pepper and decoy key are the same")
	}
	for name, key := range map[string][]byte{"master key": master, "pepper": pepper, "decoy key": decoy} {
		s, err := seal.New(seal.Key{ID: "1", Secret: key})
		check(t, err)
		if _, err := s.Open(sealed, nil); err == nil {
			t.Errorf("the %s seals what is at rest", name)
		}
	}
}

// RFC 9449 §11.1: a proof is good for one request, on every node of a store.
func TestProofIsGoodForOneRequest(t *testing.T) {
	t.Parallel()
	n := start(t, folder(t, ""), node.Options{})
	phone, err := app.NewDevice(app.DeviceConfig{Now: time.Now, Biometrics: func() bool { return true }})
	check(t, err)
	proof, err := phone.Proof(http.MethodPost, n.URL()+"/v1/flows", "", "")
	check(t, err)
	for i, want := range []int{http.StatusCreated, http.StatusBadRequest} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.URL()+"/v1/flows", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
		check(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("DPoP", proof)
		resp, err := http.DefaultClient.Do(req)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i+1, resp.StatusCode, want)
		}
	}
}

// A service inside the house is called only if its host is listed. The call ends at its
// certificate, which this machine does not trust; that it was dialled is what counts.
func TestPrivateHosts(t *testing.T) {
	t.Setenv("STILE_TEST_SECRET", strings.Repeat("s", 32))
	dialled := make(chan struct{}, 1)
	service := httptest.NewUnstartedServer(nil)
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled <- struct{}{}
		}
	}
	service.StartTLS()
	defer service.Close()
	_, port, err := net.SplitHostPort(service.Listener.Addr().String())
	check(t, err)

	for _, c := range []struct {
		calls string
		want  int
	}{
		{"", 0},
		{"calls: { private_hosts: [inner.bank.example] }\n", 0},
		{"calls: { private_hosts: [localhost] }\n", 1},
	} {
		cfg := folder(t, c.calls)
		write(t, filepath.Join(cfg.Definitions, "all.yaml"), `
flows:
  judged:
    description: A service of the house is asked first.
    steps:
      - { id: judge, type: http_call, with: { url: "https://localhost:`+port+`/", secret: { env: STILE_TEST_SECRET } } }
      - { id: password, type: password }
targets:
  ledger:
    flow: judged
    propagate: { type: bearer_jwt, audience: "https://ledger.bank.example" }
clients:
  bench: { flows: [judged], targets: [ledger], dpop: optional }
`)
		n := start(t, cfg, node.Options{})
		resp, err := http.Post(n.URL()+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
		check(t, err)
		body, err := io.ReadAll(resp.Body)
		check(t, errors.Join(err, resp.Body.Close()))
		if !bytes.Contains(body, []byte("unavailable")) {
			t.Errorf("%q: nothing was trusted, but: %s", c.calls, body)
		}
		if got := len(dialled); got != c.want {
			t.Errorf("%q: the service was dialled %d times, want %d", c.calls, got, c.want)
		}
	}
}
