package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stile-auth/stile/propagation/gateway"
)

// seen is what an application behind a proxy gets.
type seen struct {
	Method, URI string
	Header      http.Header
}

// front is a proxy, configured as docs/gateway.md shows it, before an application
// that says what it got.
type front struct {
	t       *testing.T
	name    string
	network string
	address string // that it listens on
}

// shown is the configuration of docs/gateway.md in that language, with our addresses.
func shown(t *testing.T, language, gate, app string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "gateway.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```"+language+"\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("docs/gateway.md shows no %s", language)
	}
	return strings.NewReplacer("127.0.0.1:9191", gate, "127.0.0.1:3000", app).Replace(text)
}

// fronts starts nginx and Caddy before an application and a gateway.
func fronts(t *testing.T, gate http.Handler) []front {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Header})
	}))
	t.Cleanup(app.Close)
	g := httptest.NewServer(gate)
	t.Cleanup(g.Close)
	at := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	return []front{nginx(t, at(g), at(app)), caddy(t, at(g), at(app))}
}

func nginx(t *testing.T, gate, app string) front {
	t.Helper()
	dir := folder(t)
	socket := filepath.Join(dir, "s")
	conf := "daemon off;\nmaster_process off;\npid pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += kind + "_temp_path " + kind + ";\n"
	}
	conf += "server {\nlisten unix:" + socket + ";\n" + shown(t, "nginx", gate, app) + "}\n}\n"
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, "nginx", dir, "unix", socket, "-p", dir, "-e", "stderr", "-c", file)
}

func caddy(t *testing.T, gate, app string) front {
	t.Helper()
	dir := folder(t)
	socket := freePort(t) // from a socket of a file it would not say for which host it asks
	_, port, _ := strings.Cut(socket, ":")
	site := strings.Replace(shown(t, "caddyfile", gate, app), "shop.example {", "http://:"+port+" {\n\tbind 127.0.0.1", 1)
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\tadmin off\n\tauto_https off\n}\n"+site), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, "caddy", dir, "tcp", socket, "run", "--config", file, "--adapter", "caddyfile")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// folder is one with a path short enough for sockets.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate") //nolint:usetesting // that of the test is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// run starts a proxy, and waits until it listens.
func run(t *testing.T, name, dir, network, address string, args ...string) front {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Fatalf("%s is not installed: go run ./cmd/dev test installs it, or apt-get install %s", name, name)
		}
	}
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
	deadline := time.After(30 * time.Second)
	for {
		if conn, err := net.Dial(network, address); err == nil { //nolint:noctx // at once
			_ = conn.Close()
			return front{t, name, network, address}
		}
		select {
		case <-done:
			t.Fatalf("%s has ended: %s", name, log.String())
		case <-deadline:
			t.Fatalf("%s does not listen", name)
		case <-time.After(10 * time.Millisecond): // until it does
		}
	}
}

// send sends a request as it is written, which no client would make.
func (f front) send(method, uri string, headers ...string) (*http.Response, *seen) {
	f.t.Helper()
	conn, err := net.Dial(f.network, f.address) //nolint:noctx // has a deadline
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	lines := append([]string{method + " " + uri + " HTTP/1.1", "Host: shop.example", "Connection: close"}, headers...)
	if _, err := fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		f.t.Fatalf("%s: %s %s: %v", f.name, method, uri, err)
	}
	defer resp.Body.Close()
	var got seen
	if resp.StatusCode != http.StatusOK || method == http.MethodHead {
		return resp, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		f.t.Fatalf("%s: %s %s: %v", f.name, method, uri, err)
	}
	return resp, &got
}

// Requests through real proxies: who passes, and what the application gets.
func TestThroughProxies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = time.Now()
	token := "Authorization: Bearer " + w.token(nil)
	bound := w.bound()
	for _, f := range fronts(t, w.gateway()) {
		for name, c := range map[string]struct {
			method, uri string
			headers     []string
			status      int
			challenge   string
		}{
			"everyone":               {"GET", "/news?x=1", nil, 200, ""},
			"a token":                {"GET", "/orders/7?page=2", []string{token}, 200, ""},
			"a proof":                {"GET", "/orders?page=2", []string{"Authorization: DPoP " + bound, "DPoP: " + w.proof(bound, "GET", origin+"/orders")}, 200, ""},
			"a proof for another":    {"GET", "/orders/8", []string{"Authorization: DPoP " + bound, "DPoP: " + w.proof(bound, "GET", origin+"/orders")}, 401, "invalid_dpop_proof"},
			"a key":                  {"GET", "/prices", []string{"X-API-Key: " + w.appKey}, 200, ""},
			"no token":               {"GET", "/orders", nil, 401, `realm="api.shop.example"`},
			"a bad token":            {"GET", "/orders", []string{"Authorization: Bearer x"}, 401, "invalid_token"},
			"too little":             {"POST", "/orders", []string{token, "Content-Length: 0"}, 403, `scope="orders.write"`},
			"another method":         {"DELETE", "/orders", []string{token}, 403, ""},
			"nothing there":          {"GET", "/", []string{token}, 403, ""},
			"the method of a header": {"GET", "/news", []string{"X-HTTP-Method-Override: DELETE"}, 403, ""},
		} {
			resp, got := f.send(c.method, c.uri, c.headers...)
			if resp.StatusCode != c.status || !strings.Contains(strings.Join(resp.Header.Values("WWW-Authenticate"), ", "), c.challenge) {
				t.Errorf("%s: %s: %d %q, want %d %q", f.name, name, resp.StatusCode, resp.Header.Values("WWW-Authenticate"), c.status, c.challenge)
			}
			if got != nil && (got.Method != c.method || got.URI != c.uri) {
				t.Errorf("%s: %s: the application got %s %s", f.name, name, got.Method, got.URI)
			}
		}
		if _, got := f.send("GET", "/orders", token); got == nil || got.Header.Get(gateway.HeaderSubject) != "jane" || got.Header.Get(gateway.HeaderScope) != "orders.read" || got.Header.Get(gateway.HeaderACR) != "aal1" {
			t.Errorf("%s: the application got %+v", f.name, got)
		}
	}
}

// Whatever a client sends, no application behind a proxy gets a header of ours from it,
// and nobody's request is taken for another one.
func TestAttacksThroughProxies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = time.Now()
	// The second gateway is never shown what a client smuggles: there the proxy alone has to remove it.
	blind := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "stile") {
				delete(r.Header, name)
			}
		}
		w.gateway().ServeHTTP(rw, r)
	})
	for _, f := range append(fronts(t, w.gateway()), fronts(t, blind)...) {
		for _, header := range append(gateway.Headers(), "stile-subject", "Stile_Subject") {
			if _, got := f.send("GET", "/news", header+": admin"); got != nil {
				for name, values := range got.Header {
					if strings.Contains(strings.Join(values, " "), "admin") && !strings.Contains(name, "_") {
						t.Errorf("%s: %s arrives as %s", f.name, header, name)
					}
				}
			}
		}
	}
	for _, f := range fronts(t, w.gateway()) {
		if _, got := f.send("GET", "/news", "Stile_Subject: admin"); got != nil && got.Header.Get("Stile_Subject") != "" {
			t.Errorf("%s: Stile_Subject arrives", f.name)
		}
		for _, uri := range []string{
			"/news/../admin", "/news/%2e%2e/admin", "/news/..%2fadmin", "/news%2f..%2fadmin", "/news/%252e%252e/admin", "//admin", "/news//../admin",
			"/news/..;/admin", "/news;/../admin", `/news/..\admin`, "/news/%5c../admin", "/%61dmin", "/ADMIN", "/admin", "/admin/", "/admin?x=/news", "/news/%00/../admin", "/admin%20", "/admin%23/news",
		} {
			if resp, got := f.send("GET", uri); got != nil {
				t.Errorf("%s: %s: %d, the application got %s", f.name, uri, resp.StatusCode, got.URI)
			}
		}
		for _, name := range []string{"X-Original-URI", "X-Original-Method", "X-Original-Host", "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Method", "X-Rewrite-URL"} {
			for _, value := range []string{"/news", "GET", "shop.example"} {
				if resp, got := f.send("DELETE", "/admin/users", name+": "+value, name+": "+value); got != nil {
					t.Errorf("%s: with %s: %d", f.name, name, resp.StatusCode)
				}
			}
		}
	}
}

// While nobody can tell, nobody passes, and the client is told that it is not its fault.
func TestProxiesWhileNobodyCanTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = time.Now()
	token := "Authorization: Bearer " + w.token(nil)
	w.keys.err = errors.New("disk")
	for _, f := range fronts(t, w.gateway()) {
		if resp, got := f.send("GET", "/orders", token); got != nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", f.name, resp.StatusCode)
		}
	}
}
