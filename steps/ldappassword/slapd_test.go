//go:build unix

package ldappassword_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is a real directory: OpenLDAP's slapd, on loopback, in a folder of its own.
type server struct {
	tls, starttls string // addresses
	roots         *x509.CertPool
	process       *os.Process
}

const (
	janeDN = "uid=jane,ou=people,dc=bank,dc=example"
	people = `dn: dc=bank,dc=example
objectClass: dcObject
objectClass: organization
o: Bank
dc: bank

dn: ou=people,dc=bank,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=bank,dc=example
objectClass: organizationalUnit
ou: groups

dn: cn=stile,dc=bank,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: stile
userPassword: search for people

dn: uid=jane,ou=people,dc=bank,dc=example
objectClass: inetOrgPerson
uid: jane
cn: Jane (of) * the \Hills
sn: Doe
mail: jane@bank.example
departmentNumber: Zurich
entryUUID: 11111111-1111-4111-8111-111111111111
userPassword: correct horse battery staple

dn: uid=john,ou=people,dc=bank,dc=example
objectClass: inetOrgPerson
uid: john
cn: John
sn: Roe
mail: jane@bank.example
entryUUID: 22222222-2222-4222-8222-222222222222
userPassword: correct horse battery staple

dn: cn=tellers,ou=groups,dc=bank,dc=example
objectClass: groupOfNames
cn: tellers
member: uid=jane,ou=people,dc=bank,dc=example

dn: cn=directors,ou=groups,dc=bank,dc=example
objectClass: groupOfNames
cn: directors
member: uid=john,ou=people,dc=bank,dc=example

dn: ou=services,dc=bank,dc=example
objectClass: organizationalUnit
ou: services

dn: cn=batch,ou=services,dc=bank,dc=example
objectClass: inetOrgPerson
uid: svc-batch
cn: batch
sn: batch
description: orders.read admin
entryUUID: 33333333-3333-4333-8333-333333333333
userPassword: a password of a service

dn: cn=retired,ou=services,dc=bank,dc=example
objectClass: inetOrgPerson
uid: svc-retired
cn: retired
sn: retired
employeeType: retired
userPassword: a password of a service

dn: cn=one,ou=services,dc=bank,dc=example
objectClass: inetOrgPerson
uid: svc-twice
cn: one
sn: one
userPassword: a password of a service

dn: cn=two,ou=services,dc=bank,dc=example
objectClass: inetOrgPerson
uid: svc-twice
cn: two
sn: two
userPassword: a password of a service

dn: cn=writers,ou=groups,dc=bank,dc=example
objectClass: groupOfNames
cn: writers
member: cn=batch,ou=services,dc=bank,dc=example
`
)

// startDirectory starts one. A machine without slapd fails: cmd/dev sets it up.
func startDirectory(t testing.TB) *server {
	t.Helper()
	path, err := exec.LookPath("slapd")
	if err != nil {
		if path = "/usr/sbin/slapd"; exec.Command(path, "-VV").Run() == nil {
			err = nil
		}
	}
	if err != nil {
		t.Fatal("slapd is not installed: go run ./cmd/dev test installs it, or apt-get install slapd")
	}
	dir := t.TempDir()
	roots := certificates(t, dir)
	write(t, dir, "people.ldif", people)
	write(t, dir, "slapd.conf", strings.ReplaceAll(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/slapd.pid
TLSCACertificateFile DIR/ca.pem
TLSCertificateFile DIR/server.pem
TLSCertificateKeyFile DIR/server.key
security simple_bind=1
database mdb
suffix "dc=bank,dc=example"
directory DIR/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=stile,dc=bank,dc=example" read by * none
`, "DIR", dir))
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "slapd.conf")
	if out, err := exec.Command(path, "-T", "add", "-f", conf, "-l", filepath.Join(dir, "people.ldif")).CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s := &server{tls: freePort(t), starttls: freePort(t), roots: roots}
	var log bytes.Buffer
	cmd := exec.Command(path, "-d", "0", "-f", conf, "-h", fmt.Sprintf("ldaps://%s ldap://%s", s.tls, s.starttls))
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for _, address := range []string{s.tls, s.starttls} {
		waitFor(t, address, &log)
	}
	return s
}

// waitFor waits until somebody listens: connecting is the only way to know.
func waitFor(t testing.TB, address string, log fmt.Stringer) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("slapd does not listen on %s: %v\n%s", address, err, log)
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificates makes an authority of our own, and a certificate for loopback.
func certificates(t testing.TB, dir string) *x509.CertPool {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	sign := func(of, by *x509.Certificate, k, with *ecdsa.PrivateKey) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, of, by, &k.PublicKey, with)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	pemOf := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	caKey, serverKey := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	ca = sign(ca, ca, caKey, caKey)
	leaf := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
	}, ca, serverKey, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ca.pem", pemOf("CERTIFICATE", ca.Raw))
	write(t, dir, "server.pem", pemOf("CERTIFICATE", leaf.Raw))
	write(t, dir, "server.key", pemOf("PRIVATE KEY", der))
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	return roots
}
