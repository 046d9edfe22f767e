package e2e_test

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

//go:embed app
var appFiles embed.FS

const (
	login    = "jane"
	password = "three quiet green hills"
	patience = 60 * time.Second
)

const definitions = `
flows:
  join:
    steps:
      - { id: password, type: password }
      - { id: key, type: passkey_enrolment }
  enter:
    steps:
      - { id: key, type: passkey }
  plain: { steps: [{ id: password, type: password }] }
  mailed:
    kind: recovery # where a mailbox counts
    steps:
      - { id: who, type: identify }
      - { id: link, type: magic_link }
targets:
  vault:
    flow: enter
    requires: { acr: aal1 } # a password alone bound the passkey, and caps it
    propagate: { type: bearer_jwt, audience: "https://vault.example" }
  api: { flow: plain, propagate: { type: bearer_jwt, audience: "https://api.example" } }
clients:
  web-app: { flows: [join, enter, mailed, plain], targets: [vault, api], origins: ["%s"], dpop: optional }
`

// build builds stile once for all tests.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stile-e2e-")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "stile")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "nomsgpack", "-o", binary, "./cmd/stile")
	cmd.Dir = filepath.Join("..", "..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if binary, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

// world is a server as its operator starts it, an app at an origin of its own,
// and a browser with a virtual authenticator.
type world struct {
	t      *testing.T
	ctx    context.Context // of the browser's tab
	app    string          // address of the app, at localhost: WebAuthn knows no IP addresses
	device webauthn.AuthenticatorID
	binary string
	folder string
	env    []string // of the server, beside that of the test
}

func newWorld(t *testing.T) *world {
	t.Helper()
	binary, err := build()
	must(t, err)
	w := &world{t: t, binary: binary, folder: t.TempDir()}
	origin := w.serveApp()
	w.write("flows/flows.yaml", fmt.Sprintf(definitions, origin))
	w.write("stile.yaml", fmt.Sprintf("definitions: flows\npasskeys: { rp_id: localhost, origins: [%q] }\ndelivery: { by: file, file: messages.txt }\n", origin))
	w.write("password", password)
	w.run("users", "add", login, "--password-file", "password", "--binding", "aal2", "--email", "jane@bank.example")
	w.app = origin + "/?stile=" + url.QueryEscape(w.serve())
	w.browse()
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) write(name, text string) {
	path := filepath.Join(w.folder, filepath.FromSlash(name))
	must(w.t, errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)))
}

func (w *world) run(args ...string) string {
	w.t.Helper()
	cmd := exec.Command(w.binary, args...)
	cmd.Dir = w.folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("stile %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serveApp serves the app and returns its origin.
func (w *world) serveApp() string {
	w.t.Helper()
	files, err := fs.Sub(appFiles, "app")
	must(w.t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	server := &http.Server{Handler: http.FileServerFS(files), ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(l) }()
	w.t.Cleanup(func() { _ = server.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "http://localhost:" + port
}

// serve starts stile and returns its address.
func (w *world) serve() string { return w.serveOn("127.0.0.1:0") }

func (w *world) serveOn(address string) string {
	w.t.Helper()
	cmd := exec.Command(w.binary, "serve", "--format", "json", "--listen", address)
	var logged bytes.Buffer
	cmd.Dir, cmd.Stderr, cmd.Env = w.folder, &logged, append(os.Environ(), w.env...)
	out, err := cmd.StdoutPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		if _, _ = cmd.Process.Kill(), cmd.Wait(); w.t.Failed() {
			w.t.Log(logged.String())
		}
	})
	var said struct{ URL string }
	must(w.t, json.NewDecoder(out).Decode(&said))
	return said.URL
}

// browse starts the browser at the app, with an authenticator that is part of the machine.
func (w *world) browse() {
	w.t.Helper()
	w.browseWith(patience)
	w.visit(w.app)
	w.authenticator()
}

// browseWith starts the browser.
func (w *world) browseWith(limit time.Duration, flags ...chromedp.ExecAllocatorOption) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	w.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox), flags...)...)
	w.t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	w.t.Cleanup(cancel)
	w.ctx = ctx
}

// authenticator gives the tab an authenticator that is part of the machine.
func (w *world) authenticator() {
	w.t.Helper()
	_, err := chromedp.Call(w.ctx, webauthn.Enable, webauthn.EnableParams{})
	must(w.t, err)
	made, err := chromedp.Call(w.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: "ctap2", Transport: "internal", HasResidentKey: true, HasUserVerification: true,
			IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	})
	must(w.t, err)
	w.device = made.AuthenticatorID
}

func (w *world) visit(address string) {
	w.t.Helper()
	must(w.t, chromedp.Do(w.ctx, chromedp.Navigate(address)))
	if _, err := chromedp.Run(w.ctx, chromedp.Poll[bool]("window.ready === true")); err != nil {
		w.t.Fatalf("the app does not start: %v", err)
	}
}

// result is what the app tells of an answer, or of a failure of the browser.
type result struct {
	HTTP   int      `json:"http"`
	Code   string   `json:"code"`
	Status string   `json:"status"`
	Asks   string   `json:"asks"`
	ACR    string   `json:"acr"`
	AMR    []string `json:"amr"`
	Token  string   `json:"token"`
	Error  string   `json:"error"` // name of a DOMException
	// Challenge is WWW-Authenticate of an API, as far as the browser shows it.
	Challenge string `json:"challenge"`
}

// do runs script in the page as the body of an asynchronous function.
func (w *world) do(script string) result {
	w.t.Helper()
	r, err := chromedp.Run(w.ctx, chromedp.Evaluate[result]("outcome(async () => {"+script+"})", chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatalf("%s: %v", script, err)
	}
	return r
}

// credentials are what the authenticator holds.
func (w *world) credentials() []*webauthn.Credential {
	w.t.Helper()
	got, err := chromedp.Call(w.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: w.device})
	must(w.t, err)
	return got.Credentials
}
