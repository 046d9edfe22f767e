package oidcclient_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/stile-auth/stile/oidcclient/oidctest"
)

// shortKey is an RSA key of 1024 bits.
func shortKey(t testing.TB) oidctest.Key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return oidctest.Key{ID: "short", Alg: "RS256", Private: private}
}
