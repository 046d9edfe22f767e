package oidcclient_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/oidcclient/oidctest/certified"
)

// registered makes the provider know us in one way.
func registered(change func(*oidctest.Client)) idp {
	return func(c *oidctest.Config) {
		c.Clients[0].Secret = ""
		change(&c.Clients[0])
	}
}

// as is how we authenticate.
func as(a oidcclient.Authentication) rp {
	return func(c *oidcclient.Config) { c.Authentication = a }
}

func keysOfAllKinds(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"P-256": p256, "P-384": p384, "Ed25519": ed, "RSA": r}
}

func TestSecretIsSentInOneWay(t *testing.T) {
	t.Parallel()
	for _, way := range []oidcclient.AuthMethod{oidcclient.AuthBasic, oidcclient.AuthPost} {
		other := map[oidcclient.AuthMethod]oidcclient.AuthMethod{oidcclient.AuthBasic: oidcclient.AuthPost, oidcclient.AuthPost: oidcclient.AuthBasic}[way]
		theirs := func(c *oidctest.Config) { c.Clients[0].Auth = string(way) }
		w := newWorld(t, theirs, as(oidcclient.Authentication{Method: way, Secret: secret}))
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		w = newWorld(t, theirs, as(oidcclient.Authentication{Method: other, Secret: secret}))
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		w.wants(t, err, oidcclient.ErrUnavailable, 1)
	}
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	for name, key := range keysOfAllKinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs := registered(func(c *oidctest.Client) { c.Auth, c.Key, c.KeyID = "private_key_jwt", key.Public(), "k1" })
			w := newWorld(t, theirs, as(oidcclient.Authentication{Key: key, KeyID: "k1"}))
			for range 2 { // an assertion is made for each request: they are good once
				if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	keys := keysOfAllKinds(t)
	key := keys["P-256"]
	theirs := registered(func(c *oidctest.Client) { c.Auth, c.Key, c.KeyID = "private_key_jwt", key.Public(), "k1" })
	for name, a := range map[string]oidcclient.Authentication{
		"another kid":                  {Key: key, KeyID: "k2"},
		"T-99 to the token endpoint":   {Key: key, KeyID: "k1", TokenEndpointAudience: true},
		"another key":                  {Key: keysOfAllKinds(t)["P-256"], KeyID: "k1"},
		"a secret in place of the key": {Secret: "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, theirs, as(a))
			_, err := w.signOn(t, oidcclient.RequestOptions{})
			w.wants(t, err, oidcclient.ErrUnavailable, 1)
		})
	}
	t.Run("T-99 a provider that wants its token endpoint", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, registered(func(c *oidctest.Client) {
			c.Auth, c.Key, c.TokenEndpointAudience = "private_key_jwt", key.Public(), true
		}), as(oidcclient.Authentication{Key: key, TokenEndpointAudience: true}))
		if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
			t.Error(err)
		}
	})
}

func TestSignedSecret(t *testing.T) {
	t.Parallel()
	key := keysOfAllKinds(t)["P-256"]
	theirs := registered(func(c *oidctest.Client) {
		c.Auth, c.Key, c.KeyID, c.Team = "signed_client_secret", key.Public(), "k1", "TEAM"
	})
	mine := oidcclient.Authentication{Method: oidcclient.AuthSignedSecret, Key: key, KeyID: "k1", Team: "TEAM"}
	w := newWorld(t, theirs, as(mine))
	if _, err := w.signOn(t, oidcclient.RequestOptions{}); err != nil {
		t.Error(err)
	}
	mine.Team = "OTHER"
	w = newWorld(t, theirs, as(mine))
	_, err := w.signOn(t, oidcclient.RequestOptions{})
	w.wants(t, err, oidcclient.ErrUnavailable, 1)
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	authority := certified.Pair(t, "authority", nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	server, ours, others := certified.Pair(t, "127.0.0.1", authority), certified.Pair(t, "stile", authority), certified.Pair(t, "other", authority)
	theirs := registered(func(c *oidctest.Client) { c.Auth, c.CertificateSubject = "tls_client_auth", ours.Leaf.Subject.String() })
	secured := func(c *oidctest.Config) {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*server}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
	}
	own := func(c *oidcclient.Config) { c.Transport, c.RootCAs = nil, pool }
	sign := func(c *tls.Certificate, a oidcclient.Authentication) (*world, error) {
		a.Certificate = c
		w := newWorld(t, theirs, secured, as(a), own)
		w.wire.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool} // the person's browser
		_, err := w.signOn(t, oidcclient.RequestOptions{})
		return w, err
	}
	if _, err := sign(ours, oidcclient.Authentication{}); err != nil {
		t.Error(err)
	}
	w, err := sign(others, oidcclient.Authentication{})
	w.wants(t, err, oidcclient.ErrUnavailable, 1)
	w, err = sign(nil, oidcclient.Authentication{Method: oidcclient.AuthNone})
	w.wants(t, err, oidcclient.ErrUnavailable, 1)
}

// A certificate that nobody here trusts ends the conversation.
func TestServerCertificate(t *testing.T) {
	t.Parallel()
	server := certified.Pair(t, "127.0.0.1", nil)
	w := newWorld(t, func(c *oidctest.Config) {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*server}}
	}, func(c *oidcclient.Config) { c.Transport = nil })
	w.wants(t, w.ask(t.Context()), oidcclient.ErrUnavailable, 0)
}

func TestAuthenticationThatDoesNotFit(t *testing.T) {
	t.Parallel()
	keys := keysOfAllKinds(t)
	short := shortKey(t).Private
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]oidcclient.Authentication{
		"a word":                   {Method: "client_secret_jwt", Secret: "x"},
		"basic without secret":     {Method: oidcclient.AuthBasic},
		"secret for nobody":        {Method: oidcclient.AuthNone, Secret: "x"},
		"JWT without key":          {Method: oidcclient.AuthPrivateKeyJWT},
		"key beside a secret":      {Secret: "x", Key: keys["P-256"]},
		"TLS without it":           {Method: oidcclient.AuthTLS},
		"team of nobody":           {Secret: "x", Team: "TEAM"},
		"key beside a certificate": {Certificate: &tls.Certificate{}, Key: keys["P-256"]},
		"key of a public client":   {Method: oidcclient.AuthNone, Key: keys["P-256"]},
		"signed without a team":    {Method: oidcclient.AuthSignedSecret, Key: keys["P-256"]},
		"RSA 1024":                 {Key: short},
		"P-224":                    {Key: p224},
	} {
		if _, err := oidcclient.New(oidcclient.Config{Issuer: "https://idp.example", ClientID: "stile", Now: time.Now, Authentication: a}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
