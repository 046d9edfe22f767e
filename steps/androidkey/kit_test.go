package androidkey_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/androidkeytest"
)

const ours = "com.bank.app"

var (
	now       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	digest    = bytes.Repeat([]byte{7}, 32)
	challenge = bytes.Repeat([]byte{9}, 32)
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func remote(t testing.TB) *androidkeytest.Maker {
	t.Helper()
	m, err := androidkeytest.NewRemote(now)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func factory(t testing.TB) *androidkeytest.Maker {
	t.Helper()
	m, err := androidkeytest.NewFactory(now.AddDate(-11, 0, 0)) // by now everything has expired, the root too
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func verifier(t testing.TB, root *x509.Certificate, edits ...func(*androidkey.Config)) *androidkey.Verifier {
	t.Helper()
	cfg := androidkey.Config{
		Roots: []*x509.Certificate{root}, Apps: []androidkey.App{{Package: ours, Certificate: digest}, {Package: "com.bank.other", Certificate: bytes.Repeat([]byte{8}, 32)}},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	v, err := androidkey.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func attest(t testing.TB, m *androidkeytest.Maker, key *ecdsa.PrivateKey, edits ...func(*androidkeytest.Draft)) [][]byte {
	t.Helper()
	chain, err := m.Attest(&key.PublicKey, challenge, ours, digest, edits...)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func want(key *ecdsa.PrivateKey) androidkey.Want {
	return androidkey.Want{Challenge: challenge, Key: &key.PublicKey, Biometric: true, Now: now}
}
