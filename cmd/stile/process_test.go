package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// TestProcess starts stile as a process of its own, built once as it is
// released: without cgo, and never with the race detector.
func TestProcess(t *testing.T) { //nolint:tparallel // how fast a start is shows while nothing else runs
	if testing.Short() {
		t.Skip("builds a binary")
	}
	built, bin := filepath.Join(t.TempDir(), "stile"), binary(filepath.Join(t.TempDir(), "stile"))
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nomsgpack", "-o", built, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := install(string(bin), built); err != nil {
		t.Fatal(err)
	}
	t.Run("start is fast and small", bin.startIsFastAndSmall) // alone, before the others
	t.Run("without configuration", bin.withoutConfiguration)
	t.Run("signals", bin.signals)
	t.Run("reload", bin.reload)
	t.Run("reload of the gateway", bin.reloadGateway)
	t.Run("killed between steps", bin.killedBetweenSteps)
	t.Run("killed before the answer arrived", bin.killedBeforeTheAnswerArrived)
	t.Run("guesses at four processes", bin.guessesAtFour)
}

// install copies a program page by page. In what pieces a file was written is in
// what pieces the kernel maps it: of a program that a linker has just written, or
// that was written at once, a process is counted up to 10 MB more.
func install(to, from string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	for page := range slices.Chunk(text, os.Getpagesize()) {
		if _, err := f.Write(page); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// binary is the path of the built program.
type binary string

// process is a running "stile serve".
type process struct {
	cmd  *exec.Cmd
	url  string
	errs bytes.Buffer
}

// serve starts the binary in a folder and returns when it says that it serves.
func (b binary) serve(t *testing.T, dir, listen string) *process {
	t.Helper()
	p, out := b.launch(t, dir, "--format", "json", "--listen", listen)
	var said struct{ URL string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("serve: %v: %s", err, p.errs.String())
	}
	p.url = said.URL
	return p
}

func (b binary) launch(t *testing.T, dir string, args ...string) (*process, *bufio.Reader) {
	t.Helper()
	p := &process{cmd: exec.Command(string(b), append([]string{"serve"}, args...)...)}
	p.cmd.Dir, p.cmd.Stderr = dir, &p.errs
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	return p, bufio.NewReader(out)
}

// kill ends the process at once, as the kernel or a power failure would. Again is no error.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // SIGKILL; it may have ended
	_ = p.cmd.Wait()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const localFlow = `
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
  bank-app: { flows: [password-totp], targets: [ledger], redirect_uris: ["com.bank.app:/oauth2"], dpop: required }
`

const janesPassword = "three quiet green hills"

// bankFolder makes a data folder with Jane in it and returns her TOTP secret.
func (b binary) bankFolder(t *testing.T) (dir, secret string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"flows/local.yaml": localFlow, "stile.yaml": "definitions: flows\n", "password": janesPassword + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	add := exec.Command(string(b), "users", "add", "jane", "--password-file", "password", "--totp", "--binding", "aal2", "--format", "json")
	add.Dir = dir
	out, err := add.Output()
	if err != nil {
		t.Fatal(err)
	}
	var added struct{ TOTPURI string }
	if err := json.Unmarshal(out, &added); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(added.TOTPURI)
	if err != nil {
		t.Fatal(err)
	}
	return dir, u.Query().Get("secret")
}

// phone makes an app whose owner knows her password; code is asked when she is to type a one-time code.
func phone(t *testing.T, server string, cut func(app.Exchange) error, code func(time.Time) (string, error)) *app.App {
	t.Helper()
	device, err1 := app.NewDevice(app.DeviceConfig{Now: time.Now, Biometrics: func() bool { return true }})
	browser, err2 := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "nobody", Password: "nothing"}})
	a, err3 := app.New(app.Config{
		StileURL: server, ClientID: "bank-app", RedirectURI: "com.bank.app:/oauth2", Device: device, Browser: browser, Now: time.Now,
		HTTPClient: &http.Client{Transport: &app.Wire{Who: "app", Next: &http.Transport{DisableKeepAlives: true}, Cut: cut}},
		User:       app.User{Username: "jane", Password: janesPassword, TOTP: code},
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return a
}

// A node dies in the middle of a run; the next one on the same data goes on with it.
func (b binary) killedBetweenSteps(t *testing.T) {
	t.Parallel()
	dir, secret := b.bankFolder(t)
	listen := freeAddress(t)
	first := b.serve(t, dir, listen)
	a := phone(t, first.url, nil, func(now time.Time) (string, error) {
		first.kill()
		b.serve(t, dir, listen)
		return totp.GenerateCode(secret, now)
	})
	result, err := a.Run(t.Context(), app.StartOptions{Target: "ledger"})
	if err != nil {
		t.Fatal(err)
	}
	if result.Token == "" || result.ACR != "aal2" || len(result.Steps) != 2 {
		t.Errorf("got %+v", result)
	}
}

// A node dies after it has done what it was asked and before anybody heard of
// it. The app repeats its request to the next node: the code, which is good for
// one use, is not lost, and there is one token.
func (b binary) killedBeforeTheAnswerArrived(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"/v1/flows", "/v1/flow/steps/password", "/v1/flow/steps/code"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			dir, secret := b.bankFolder(t)
			listen := freeAddress(t)
			first := b.serve(t, dir, listen)
			killed := 0
			cut := func(x app.Exchange) error {
				u, err := url.Parse(x.URL)
				if err != nil || u.Path != step || x.Status == 0 || killed > 0 {
					return err
				}
				killed++
				if x.Status != http.StatusOK && x.Status != http.StatusCreated {
					return fmt.Errorf("answered %d %s", x.Status, x.ResponseBody)
				}
				first.kill()
				b.serve(t, dir, listen)
				return errors.New("the answer is lost")
			}
			a := phone(t, first.url, cut, func(now time.Time) (string, error) { return totp.GenerateCode(secret, now) })
			result, err := a.Run(t.Context(), app.StartOptions{Target: "ledger"})
			if err != nil || killed != 1 {
				t.Fatalf("killed %d times: %v", killed, err)
			}
			if result.Token == "" || result.ACR != "aal2" {
				t.Errorf("got %+v", result)
			}
		})
	}
}

// A signal ends a node orderly, with exit code 0.
func (b binary) signals(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			dir, _ := b.bankFolder(t)
			p := b.serve(t, dir, "127.0.0.1:0")
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, p.errs.String())
			}
		})
	}
}

// SIGHUP reloads, each time: what is wrong is told again, which a mere watch of the folder would not do.
func (b binary) reload(t *testing.T) {
	t.Parallel()
	dir, _ := b.bankFolder(t)
	p := b.serve(t, dir, "127.0.0.1:0")
	type definitions struct {
		Hash             string
		LastFailedReload struct{ At time.Time }
	}
	active := func() definitions {
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body struct{ Definitions definitions }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		return body.Definitions
	}
	until := func(changed func(definitions) bool) definitions {
		for end := time.Now().Add(20 * time.Second); ; {
			if d := active(); changed(d) {
				return d
			}
			if time.Now().After(end) {
				t.Fatalf("nothing happened: %+v", active())
			}
		}
	}
	put := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "flows", "local.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hup := func() {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	old := active()
	put(localFlow + "nonsense: {}\n")
	hup()
	failed := until(func(d definitions) bool { return !d.LastFailedReload.At.IsZero() })
	seen := until(func(d definitions) bool { return time.Since(failed.LastFailedReload.At) > 3*time.Second }) // the watch has looked
	hup()
	again := until(func(d definitions) bool { return !d.LastFailedReload.At.Equal(seen.LastFailedReload.At) })
	if again.Hash != old.Hash {
		t.Errorf("nonsense is active: %+v", again)
	}
	put(localFlow + "# changed\n")
	hup()
	until(func(d definitions) bool { return d.Hash != old.Hash })
}

// SIGHUP has the gateway answer by the configuration as it is then.
func (b binary) reloadGateway(t *testing.T) {
	t.Parallel()
	dir, _ := b.bankFolder(t)
	configure := func(path string) {
		text := fmt.Sprintf("definitions: flows\ngateway:\n  listen: 127.0.0.1:0\n  resources: { open: { origin: \"https://shop.example\", path: %s, for: everyone } }\n", path)
		if err := os.WriteFile(filepath.Join(dir, "stile.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("/news")
	p, out := b.launch(t, dir, "--format", "json", "--listen", "127.0.0.1:0")
	var said struct{ Gateway string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("serve: %v: %s", err, p.errs.String())
	}
	ask := func() int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+said.Gateway+"/envoy/today", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "shop.example"
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := ask(); got != http.StatusForbidden {
		t.Errorf("before: %d", got)
	}
	configure("/today")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ask() != http.StatusOK; {
		if time.Now().After(end) {
			t.Fatal("nothing happened")
		}
	}
}

// A fresh folder, nothing configured: how long until the first answer, and how much memory when idle. Both are the
// best of five: how many pages of the program's file the kernel maps around those that are used depends on how the
// file lies in its cache, and differs by 4 MB from start to start.
func (b binary) startIsFastAndSmall(t *testing.T) {
	dir := t.TempDir()
	best, least := time.Hour, math.Inf(1)
	for i := range 5 {
		listen := freeAddress(t)
		began := time.Now()
		p, _ := b.launch(t, dir, "--listen", listen)
		waitReady(t, "http://"+listen+"/readyz")
		took := time.Since(began)
		time.Sleep(time.Second) // idle: what is measured is the moment after the start's garbage
		rss, anonymous := memoryOf(t, p.cmd.Process.Pid)
		t.Logf("start %d: ready after %s; resident %.1f MB, of which anonymous %.1f MB", i+1, took.Round(100*time.Microsecond), rss, anonymous)
		best, least = min(best, took), min(least, rss)
		p.kill()
	}
	if least > 40 {
		t.Errorf("%.1f MB resident", least)
	}
	if best > 500*time.Millisecond { // the aim is 150 ms; other programs may be running here
		t.Errorf("ready only after %s", best)
	}
}

// Without any configuration serve does something sensible and says what.
func (b binary) withoutConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, out := b.launch(t, dir, "--listen", "127.0.0.1:0")
	var said strings.Builder
	for !strings.Contains(said.String(), "corporate has no client secret: steps that use it answer 503\n") { // among the last lines; a port may have any digits
		line, err := out.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			t.Fatalf("%v: %s%s", err, said.String(), p.errs.String())
		}
	}
	for _, want := range []string{
		"stile serves http://127.0.0.1:", "by defaults", "the built-in examples: ", "sqlite stile-data/stile.db",
		"made         stile-data/master.key, stile-data/stile.db", "corporate has no client secret",
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is missing:\n%s", want, said.String())
		}
	}
	address, _, _ := strings.Cut(strings.TrimPrefix(said.String(), "stile serves "), " ")
	resp, err := http.Post(address+"/v1/flows", "application/json", strings.NewReader(`{"clientId":"bench","target":"ledger"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("the examples are not served: %d", resp.StatusCode)
	}
}

func waitReady(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			time.Sleep(time.Millisecond) // a poll: nothing announces a listening port
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("never ready")
}

// memoryOf reads VmRSS and RssAnon of a process, in MB.
func memoryOf(t *testing.T, pid int) (rss, anonymous float64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	value := func(name string) float64 {
		_, rest, _ := strings.Cut(string(text), name+":")
		kb, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return float64(kb) / 1024
	}
	return value("VmRSS"), value("RssAnon")
}
