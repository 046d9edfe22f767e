//go:build unix

package contract_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
)

const apacheModules = "/usr/lib/apache2/modules"

// apacheConfig is what an administrator writes. %[1]s is a folder, %[2]s the port, %[3]s the issuer,
// %[4]s the secret, %[5]s a pass phrase, %[6]s and %[7]s certificate and key.
const apacheConfig = `ServerName 127.0.0.1
ServerRoot %[1]s
PidFile %[1]s/pid
DefaultRuntimeDir %[1]s
Mutex file:%[1]s
User www-data
Group www-data
ErrorLog /dev/stderr
LogLevel error auth_openidc:warn
DocumentRoot %[1]s/www
Listen 127.0.0.1:%[2]s
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authn_core_module MODULES/mod_authn_core.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule authz_user_module MODULES/mod_authz_user.so
LoadModule alias_module MODULES/mod_alias.so
LoadModule socache_shmcb_module MODULES/mod_socache_shmcb.so
LoadModule ssl_module MODULES/mod_ssl.so
LoadModule auth_openidc_module MODULES/mod_auth_openidc.so
SSLEngine on
SSLCertificateFile %[6]s
SSLCertificateKeyFile %[7]s

OIDCProviderMetadataURL %[3]s/.well-known/openid-configuration
OIDCCABundlePath %[6]s
OIDCClientID apache
OIDCClientSecret "%[4]s"
OIDCRedirectURI https://127.0.0.1:%[2]s/callback
OIDCCryptoPassphrase %[5]s
OIDCResponseType code
OIDCPKCEMethod S256
OIDCScope "openid"
OIDCProviderTokenEndpointAuth client_secret_basic
OIDCIDTokenSignedResponseAlg ES256
OIDCSSLValidateServer On
OIDCCookieHTTPOnly On
OIDCRemoteUserClaim sub

<Location />
  AuthType openid-connect
  OIDCPathAuthRequestParams resource=https%%3A%%2F%%2Forders.example
  Require valid-user
</Location>
<Location /gold>
  OIDCUnAutzAction auth
  OIDCPathAuthRequestParams resource=https%%3A%%2F%%2Fpayments.example
  Require claim amr:otp
</Location>
<Location /gate>
  Require claim amr:otp
</Location>
`

// startApache starts the web server and waits until it serves.
func startApache(t *testing.T, s *secure, port string) (origin string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(apacheModules, "mod_auth_openidc.so")); err != nil {
		t.Fatal("mod_auth_openidc is not installed: go run ./cmd/dev test installs it")
	}
	dir := t.TempDir()
	for _, name := range []string{"index.html", "gold/index.html", "gate/index.html"} {
		write(t, filepath.Join(dir, "www", name), "inside "+filepath.Dir(name))
	}
	readable(t, dir)
	must(t, os.Chmod(s.certFile, 0o644))
	text := fmt.Sprintf(apacheConfig, dir, port, s.node.URL(), shopSecret, rand.Text(), s.certFile, s.keyFile)
	write(t, filepath.Join(dir, "apache.conf"), strings.ReplaceAll(text, "MODULES", apacheModules))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "apache2", "-f", filepath.Join(dir, "apache.conf"), "-DFOREGROUND")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	awaitPort(t, "127.0.0.1:"+port, ended)
	return "https://127.0.0.1:" + port
}

// readable lets everybody read what a server's workers read, which are not who started it.
func readable(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o711))
	}
	must(t, filepath.WalkDir(filepath.Join(dir, "www"), func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chmod(path, 0o755))
	}))
}

// awaitPort waits until somebody listens there.
func awaitPort(t *testing.T, addr string, ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			must(t, c.Close())
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nobody listens at %s: %v", addr, err)
		case <-ended:
			t.Fatalf("the process has ended: nobody listens at %s", addr)
		case <-tick.C:
		}
	}
}

// Apache's own module signs somebody on, unchanged: a gate that asks for a one-time code is shut
// for who has none, and opens by what really happened.
func TestApache(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := newSecure(t, shop(fmt.Sprintf(`  apache:
    flows: [sign-in, strong]
    targets: [orders, payments]
    redirect_uris: ["https://127.0.0.1:%s/callback"]
    dpop: optional
    oauth: { auth: client_secret_basic, secret_hash: %s, scopes: [openid] }
`, port, hashed(shopSecret))))
	apache := startApache(t, s, port)
	b := s.visitor(t)
	b.goes(apache + "/index.html")
	b.signIn()
	if b.follow(); b.status != http.StatusOK || !strings.Contains(b.page, "inside .") {
		t.Fatalf("signed on: %d\n%s", b.status, b.page)
	}
	if b.goes(apache + "/gate/index.html"); b.status != http.StatusUnauthorized {
		t.Fatalf("the gate, with a password: %d\n%s", b.status, b.page)
	}
	b.goes(apache + "/gold/index.html") // it sends the browser for more: the password is not asked for again
	if !strings.Contains(b.page, `name="code"`) {
		t.Fatalf("no code is asked for: %d\n%s", b.status, b.page)
	}
	b.submit(map[string]string{"code": s.otp(t)})
	if b.follow(); b.status != http.StatusOK || !strings.Contains(b.page, "inside gold") {
		t.Fatalf("with a code: %d\n%s", b.status, b.page)
	}
	if b.goes(apache + "/gate/index.html"); b.status != http.StatusOK || !strings.Contains(b.page, "inside gate") {
		t.Fatalf("the gate, with a code: %d\n%s", b.status, b.page)
	}
	// What the browser brings that Apache did not ask for opens nothing.
	thief := s.visitor(t)
	thief.goes(apache + "/callback?" + url.Values{"code": {"x"}, "state": {"y"}, "iss": {s.node.URL()}}.Encode())
	if thief.status == http.StatusOK {
		t.Errorf("a code that was not asked for: %d", thief.status)
	}
}

// Apache ends its session when ours ends, because it is told (OpenID Connect Back-Channel Logout 1.0).
func TestApacheHearsOfLogouts(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	any := httptest.NewTLSServer(nil) // every one of them has the same certificate
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: any.Certificate().Raw})))
	any.Close()
	s := newSecure(t, shop(fmt.Sprintf(`  apache:
    flows: [sign-in]
    targets: [orders]
    redirect_uris: ["https://127.0.0.1:%[1]s/callback"]
    dpop: optional
    oauth:
      auth: client_secret_basic
      secret_hash: %[2]s
      scopes: [openid]
      backchannel_logout_uri: "https://127.0.0.1:%[1]s/callback?logout=backchannel"
`, port, hashed(shopSecret))), fmt.Sprintf("relying_parties: { network: loopback, ca: %q }\n", ca))
	apache := startApache(t, s, port)
	b := s.visitor(t)
	b.goes(apache + "/index.html")
	b.signIn()
	if b.follow(); b.status != http.StatusOK || !strings.Contains(b.page, "inside .") {
		t.Fatalf("signed on: %d\n%s", b.status, b.page)
	}
	if b.goes(apache + "/index.html"); !strings.Contains(b.page, "inside .") {
		t.Fatalf("it does not stay signed on: %d\n%s", b.status, b.page)
	}
	b.open(s.node.URL() + "/oauth2/logout")
	form := url.Values{"_answer": {"leave"}, "_token": {hiddenField.FindStringSubmatch(b.page)[2]}}
	b.post(s.node.URL()+"/oauth2/logout", form, "same-origin")
	b.shows(http.StatusOK, "You are signed out.")
	eventually(t, s.world, flows.EventLogoutTold, 1)
	if b.goes(apache + "/index.html"); strings.Contains(b.page, "inside .") || !strings.Contains(b.page, `name="password"`) {
		t.Errorf("Apache still has its session: %d\n%s", b.status, b.page)
	}
}
