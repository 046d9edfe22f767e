// Package lemonldap runs LemonLDAP::NG, a provider that others wrote, as a process
// of its own: Perl, from the distribution, with a portal of its own, RSA keys only,
// and consent on a page.
//
//	p := lemonldap.Open(t)
//	fmt.Println(p.Issuer, p.ClientID, p.ClientSecret, p.RedirectURI)
//
// People are those of its demonstration, above all [Person], whose password is her
// name. "go run ./cmd/dev test" installs the program.
package lemonldap

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// Person is the name of somebody there, which is the sub and the password too.
	Person = "rtyler"
	// Email is her address.
	Email = "rtyler@badwolf.org"

	clientID    = "stile"
	redirectURI = "com.bank.app:/oauth2"
	portal      = "/usr/share/lemonldap-ng/portal/htdocs/index.psgi"
)

// Provider is a running provider and the client that is registered there.
type Provider struct {
	Issuer, ClientID, ClientSecret, RedirectURI string
}

// program is where it keeps all that it writes: in DIR.
const program = `[all]
logLevel = warn
[configuration]
type = File
dirName = DIR
localStorage = Cache::FileCache
localStorageOptions = { 'namespace' => 'config', 'cache_root' => 'DIR/cache' }
[portal]
staticPrefix = /static
templateDir = /usr/share/lemonldap-ng/portal/templates
languages = en
`

// Open starts it for a test, which also ends it. It fails where it is not installed.
func Open(t testing.TB) *Provider {
	t.Helper()
	if _, err := os.Stat(portal); err != nil {
		t.Fatal("LemonLDAP::NG is not installed: go run ./cmd/dev test installs it")
	}
	dir, port := t.TempDir(), freePort(t)
	p := &Provider{Issuer: "http://localhost:" + port, ClientID: clientID, ClientSecret: rand.Text(), RedirectURI: redirectURI}
	all, err := json.Marshal(p.settings(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"lemonldap-ng.ini": strings.ReplaceAll(program, "DIR", dir), "lmConf-1.json": string(all)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, dir, port)
	return p
}

// run starts the process, which ends with the test.
func run(t testing.TB, dir, port string) {
	t.Helper()
	// Not bound to the context of the test, which is done before its clean-up ends the process in order.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "plackup", "--server", "HTTP::Server::PSGI", "--env", "deployment", "--host", "127.0.0.1", "--port", port, portal) //nolint:gosec // the portal that the distribution installed
	cmd.Env = append(cmd.Environ(), "LLNG_DEFAULTCONFFILE="+filepath.Join(dir, "lemonldap-ng.ini"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		if cmd.Process.Signal(syscall.SIGTERM) != nil {
			_ = cmd.Process.Kill() // where there are no signals
		}
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	await(t, "127.0.0.1:"+port, ended)
}

// settings are its whole configuration: one client, and the people of its demonstration.
func (p *Provider) settings(t testing.TB, dir string) map[string]any {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sessions := map[string]string{"Directory": dir, "LockDirectory": dir, "generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256"}
	const store = "Apache::Session::File"
	return map[string]any{
		"cfgNum": 1, "cfgAuthor": "test", "cfgDate": 1, "key": rand.Text(),
		"portal": p.Issuer + "/", "domain": "localhost", // of cookies: browsers take none of an address
		"securedCookie": 0, "authentication": "Demo", "userDB": "Demo", "passwordDB": "Demo", "requireToken": 0,
		"demoExportedVars": map[string]string{"cn": "cn", "mail": "mail", "uid": "uid"}, "whatToTrace": "uid",
		"globalStorage": store, "globalStorageOptions": sessions, "persistentStorage": store, "persistentStorageOptions": sessions,
		"locationRules": map[string]any{}, "exportedHeaders": map[string]any{}, "exportedVars": map[string]any{}, // it guards no applications
		"localSessionStorage": "", "captcha_mail_enabled": 0, "captcha_register_enabled": 0,
		"issuerDBOpenIDConnectActivation": 1, "oidcServiceMetaDataIssuer": p.Issuer, "oidcServiceKeyIdSig": "first",
		"oidcServicePrivateKeySig":   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"oidcServicePublicKeySig":    string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"oidcRPMetaDataExportedVars": map[string]any{"stile": map[string]string{"email": "mail"}},
		"oidcRPMetaDataOptions": map[string]any{"stile": map[string]any{
			"oidcRPMetaDataOptionsClientID": p.ClientID, "oidcRPMetaDataOptionsClientSecret": p.ClientSecret,
			"oidcRPMetaDataOptionsRedirectUris": p.RedirectURI, "oidcRPMetaDataOptionsUserIDAttr": "uid",
			"oidcRPMetaDataOptionsIDTokenSignAlg": "RS256", "oidcRPMetaDataOptionsRequirePKCE": 1,
		}},
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// await returns when the address takes connections.
func await(t testing.TB, address string, ended <-chan struct{}) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatal("it has ended")
		case <-late:
			t.Fatal("it takes no connections")
		}
	}
}
