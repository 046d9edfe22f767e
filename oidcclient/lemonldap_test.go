//go:build unix

package oidcclient_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/oidcclient"
)

// lemonIni has the program keep all that it writes in DIR.
const lemonIni = `[all]
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

// lemon is LemonLDAP::NG, a provider that others wrote, from the distribution:
// Perl, a portal of its own, RSA keys only, consent on a page. It ends with the test.
func lemon(t *testing.T) (issuer, secret string) {
	t.Helper()
	const portal = "/usr/share/lemonldap-ng/portal/htdocs/index.psgi"
	if _, err := os.Stat(portal); err != nil {
		t.Fatal("LemonLDAP::NG is not installed: go run ./cmd/dev test installs it")
	}
	dir, port := t.TempDir(), freePort(t)
	issuer, secret = "http://localhost:"+port, rand.Text()
	settings, err := json.Marshal(lemonSettings(t, dir, issuer, secret))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"lemonldap-ng.ini": strings.ReplaceAll(lemonIni, "DIR", dir), "lmConf-1.json": string(settings)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Not bound to the context of the test, which is done before its clean-up ends the process in order.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "plackup", "--server", "HTTP::Server::PSGI", "--env", "deployment", "--host", "127.0.0.1", "--port", port, portal)
	cmd.Env = append(os.Environ(), "LLNG_DEFAULTCONFFILE="+filepath.Join(dir, "lemonldap-ng.ini"))
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
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	await(t, "127.0.0.1:"+port, ended)
	return issuer, secret
}

func lemonSettings(t *testing.T, dir, issuer, secret string) map[string]any {
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
		"portal": issuer + "/", "domain": "localhost", // of cookies: browsers take none of an address "securedCookie": 0,
		"authentication": "Demo", "userDB": "Demo", "passwordDB": "Demo", "requireToken": 0,
		"demoExportedVars": map[string]string{"cn": "cn", "mail": "mail", "uid": "uid"}, "whatToTrace": "uid",
		"globalStorage": store, "globalStorageOptions": sessions, "persistentStorage": store, "persistentStorageOptions": sessions,
		"locationRules": map[string]any{}, "exportedHeaders": map[string]any{}, "exportedVars": map[string]any{}, // it guards no applications
		"localSessionStorage": "", "captcha_mail_enabled": 0, "captcha_register_enabled": 0,
		"issuerDBOpenIDConnectActivation": 1, "oidcServiceMetaDataIssuer": issuer, "oidcServiceKeyIdSig": "first",
		"oidcServicePrivateKeySig":   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"oidcServicePublicKeySig":    string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"oidcRPMetaDataExportedVars": map[string]any{"stile": map[string]string{"email": "mail"}},
		"oidcRPMetaDataOptions": map[string]any{"stile": map[string]any{
			"oidcRPMetaDataOptionsClientID": "stile", "oidcRPMetaDataOptionsClientSecret": secret,
			"oidcRPMetaDataOptionsRedirectUris": lemonRedirect, "oidcRPMetaDataOptionsUserIDAttr": "uid",
			"oidcRPMetaDataOptionsIDTokenSignAlg": "RS256", "oidcRPMetaDataOptionsRequirePKCE": 1,
		}},
	}
}

const lemonRedirect = "com.bank.app:/oauth2"

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// await returns when the address takes connections.
func await(t *testing.T, address string, ended <-chan struct{}) {
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

func TestLemonLDAP(t *testing.T) {
	t.Parallel()
	issuer, secret := lemon(t)
	wire := &http.Transport{DisableKeepAlives: true}
	open := func(secret string, mode oidcclient.ResponseMode) *oidcclient.Provider {
		t.Helper()
		p, err := oidcclient.New(oidcclient.Config{
			Issuer: issuer, ClientID: "stile", Authentication: oidcclient.Authentication{Secret: secret}, Scopes: []string{"openid", "email"},
			ResponseMode: mode, Network: oidcclient.Loopback, UserInfo: true, Transport: wire, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	signOn := func(p *oidcclient.Provider, change func(*oidcclient.Request)) (oidcclient.Identity, error) {
		t.Helper()
		a, err := p.AuthorizationRequest(t.Context(), oidcclient.RequestOptions{RedirectURI: lemonRedirect})
		if err != nil {
			t.Fatal(err)
		}
		// Names and passwords of its demonstration: a password is the name.
		person, err := app.NewBrowser(app.BrowserConfig{Transport: wire, Person: app.Person{Username: "rtyler", Password: "rtyler"}})
		if err != nil {
			t.Fatal(err)
		}
		back, err := person.Open(t.Context(), a.URL, lemonRedirect)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		answer := u.RawQuery
		if a.Mode == oidcclient.ModeFragment {
			answer = u.EscapedFragment()
		}
		change(&a.Request)
		code, err := p.Receive(t.Context(), a.Request, answer)
		if err != nil {
			return oidcclient.Identity{}, fmt.Errorf("received: %w", err)
		}
		return p.Redeem(t.Context(), a.Request, code)
	}
	asSent := func(*oidcclient.Request) {}
	for _, mode := range []oidcclient.ResponseMode{"", oidcclient.ModeFragment} {
		who, err := signOn(open(secret, mode), asSent)
		if err != nil || who.Issuer != issuer || who.Subject != "rtyler" || who.Email != "rtyler@badwolf.org" {
			t.Errorf("mode %q: %+v, %v", mode, who, err)
		}
	}
	_, err := signOn(open(secret, ""), func(r *oidcclient.Request) { r.Nonce = "another" })
	wantsClass(t, err, oidcclient.ErrRefused)
	_, err = signOn(open(secret, ""), func(r *oidcclient.Request) { r.Verifier = strings.Repeat("A", 43) })
	wantsClass(t, err, oidcclient.ErrRefused)
	_, err = signOn(open("wrong", ""), asSent)
	wantsClass(t, err, oidcclient.ErrUnavailable)
}
