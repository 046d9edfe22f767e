//go:build unix

package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/postgres"
	"github.com/stile-auth/stile/flows/store/servertest"
)

// certificate makes one that vouches for itself, for these addresses.
func certificate(t *testing.T, addresses ...net.IP) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test"}, IPAddresses: addresses, DNSNames: []string{"db.bank.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8)
}

// Only a server whose certificate is right, and for its name, is believed.
func TestTLS(t *testing.T) {
	t.Parallel()
	server := servertest.NewPostgres(t)
	right, key := certificate(t, net.IPv4(127, 0, 0, 1))
	other, otherKey := certificate(t)
	server.Secure(t, right, key)
	dir := t.TempDir()
	for name, text := range map[string]string{"right": right, "other": other} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secure := func(roots string) postgres.Config {
		url := strings.Replace(server.URL("postgres"), "sslmode=disable", "sslmode=verify-full&sslrootcert="+filepath.Join(dir, roots), 1)
		return postgres.Config{URL: url, Timeout: 2 * time.Second}
	}
	refused := func(roots, words string) {
		t.Helper()
		s, err := postgres.Open(t.Context(), secure(roots))
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, flows.ErrUnavailable) || !strings.Contains(err.Error(), words) {
			t.Errorf("roots %s: error %v", roots, err)
		}
	}
	open(t, secure("right"))
	refused("other", "unknown authority")
	server.Secure(t, other, otherKey)
	refused("other", "cannot validate certificate for 127.0.0.1") // it is signed right, and is another host's
}
