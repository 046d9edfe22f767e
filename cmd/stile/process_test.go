package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// binary builds stile once as it is released: without cgo, and never with the race detector.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stile-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stile")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nomsgpack", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// process is a running "stile serve".
type process struct {
	cmd  *exec.Cmd
	url  string
	errs bytes.Buffer
}

// serve starts the binary in a folder and returns when it says that it serves.
func serve(t *testing.T, dir, listen string) *process {
	t.Helper()
	p, out := launch(t, dir, listen)
	var said struct{ URL string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("serve: %v: %s", err, p.errs.String())
	}
	p.url = said.URL
	return p
}

func launch(t *testing.T, dir, listen string) (*process, *bufio.Reader) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, "serve", "--format", "json", "--listen", listen)}
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
func bankFolder(t *testing.T) (dir, secret string) {
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
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	add := exec.Command(path, "users", "add", "jane", "--password-file", "password", "--totp", "--binding", "aal2", "--format", "json")
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
func TestKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	dir, secret := bankFolder(t)
	listen := freeAddress(t)
	first := serve(t, dir, listen)
	a := phone(t, first.url, nil, func(now time.Time) (string, error) {
		first.kill()
		serve(t, dir, listen)
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
func TestKilledBeforeTheAnswerArrived(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"/v1/flows", "/v1/flow/steps/password", "/v1/flow/steps/code"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			dir, secret := bankFolder(t)
			listen := freeAddress(t)
			first := serve(t, dir, listen)
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
				serve(t, dir, listen)
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
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			dir, _ := bankFolder(t)
			p := serve(t, dir, "127.0.0.1:0")
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, p.errs.String())
			}
		})
	}
}

// A fresh folder, nothing configured: how long until the first answer, and how much memory when idle.
func TestStartIsFastAndSmall(t *testing.T) {
	if err := func() error { _, err := binary(); return err }(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"first start", "second start"} {
		listen := freeAddress(t)
		began := time.Now()
		p, _ := launch(t, dir, listen)
		waitReady(t, "http://"+listen+"/readyz")
		took := time.Since(began)
		time.Sleep(time.Second) // idle: what is measured is the moment after the start's garbage
		rss, anonymous := memoryOf(t, p.cmd.Process.Pid)
		t.Logf("%s: ready after %s, resident %.1f MB of which anonymous %.1f MB", name, took.Round(100*time.Microsecond), rss, anonymous)
		if took > 2*time.Second { // the aim is 150 ms on an idle machine; others may be running here
			t.Errorf("%s: ready only after %s", name, took)
		}
		if rss > 64 { // the aim is 40 MB
			t.Errorf("%s: %.1f MB resident", name, rss)
		}
		p.kill()
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
