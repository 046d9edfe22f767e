//go:build unix

package contract_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// secure is a world behind a proxy that ends TLS, as it is deployed, with the time of
// the programs of others who come to it.
type secure struct {
	*world
	roots    *x509.CertPool
	ca       string // file of the certificate that everybody trusts
	cert     tls.Certificate
	certFile string
	keyFile  string
}

func newSecure(t *testing.T, definitions string, more ...string) *secure {
	t.Helper()
	proxy := httptest.NewUnstartedServer(nil)
	origin := "https://" + proxy.Listener.Addr().String()
	live := newClock()
	live.live = true
	s := &secure{world: newWorld(t, t, setup{definitions: definitions, more: "base_url: " + origin + "\n" + strings.Join(more, ""), clock: live}), roots: x509.NewCertPool()}
	t.Cleanup(func() { s.close(t) })
	to, err := url.Parse("http://" + s.node.Addr().String())
	must(t, err)
	proxy.Config.Handler = httputil.NewSingleHostReverseProxy(to)
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	s.roots.AddCert(proxy.Certificate())
	s.cert = proxy.TLS.Certificates[0]
	dir := t.TempDir()
	s.certFile, s.keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, s.certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Certificate[0]})))
	key, err := x509.MarshalPKCS8PrivateKey(s.cert.PrivateKey)
	must(t, err)
	write(t, s.keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	s.ca = s.certFile
	return s
}

func (s *secure) client() *http.Client {
	wire := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	return &http.Client{Transport: wire}
}

// visitor is a browser that trusts the certificate.
func (s *secure) visitor(t *testing.T) *visitor {
	t.Helper()
	b := newVisitor(t, s.world)
	b.client.Transport = s.client().Transport
	return b
}

// otp is the code of now: good once in half a minute.
func (s *secure) otp(t *testing.T) string {
	t.Helper()
	code, err := totp.GenerateCode(s.seed(), time.Now())
	must(t, err)
	return code
}

var refreshTo = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]*)"`)

// goes follows the browser to and fro until it stays somewhere.
func (b *visitor) goes(address string) {
	b.t.Helper()
	b.open(address)
	b.follow()
}

func (b *visitor) follow() {
	b.t.Helper()
	for range 10 {
		switch m := refreshTo.FindStringSubmatch(b.page); {
		case b.gone != nil:
			b.open(b.gone.String())
		case m != nil:
			b.open(html.UnescapeString(m[1]))
		default:
			return
		}
	}
	b.t.Fatalf("the browser is sent around: %v", b.gone)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// parties are the definitions of [shop] with a client for each way to prove who one is.
func parties(jwks, more string) string {
	const common = "targets: [orders, payments], dpop: optional, oauth: { grants: [authorization_code, refresh_token], scopes: [openid, orders.read]"
	var b strings.Builder
	for name, auth := range map[string]string{
		"basic": "auth: client_secret_basic, secret_hash: " + hashed(shopSecret), "post": "auth: client_secret_post, secret_hash: " + hashed(shopSecret),
		"public": "auth: none", "key": fmt.Sprintf("auth: private_key_jwt, keys: %q", jwks),
	} {
		fmt.Fprintf(&b, "  %s: { flows: [sign-in, strong], redirect_uris: [\"https://app.example/back\"], %s, %s } }\n", name, common, auth)
	}
	return shop(b.String() + more)
}
