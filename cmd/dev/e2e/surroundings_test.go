package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// providerSecret is that of the clients which another Stile knows.
const providerSecret = "a secret between two servers of the tests"

// house is the OpenID provider that the examples sign on at: Stile too, in a process of its own.
type house struct {
	*world
	issuer string
}

const houseDefinitions = `
flows: { enter: { steps: [{ id: password, type: password }] } }
targets:
  house: { flow: enter, requires: { acr: aal1 }, propagate: { type: bearer_jwt, audience: "https://house.example" } }
clients:
  stile: { flows: [enter], targets: [house], redirect_uris: ["%[1]s/v1/callback/corporate"], dpop: optional, oauth: { auth: client_secret_basic, secret_hash: "%[2]s", scopes: [openid] } }
  bank:
    flows: [enter]
    targets: [house]
    redirect_uris: ["%[1]s/v1/callback/agency", "%[1]s/v1/callback/cloud"]
    dpop: optional
    oauth: { auth: client_secret_basic, secret_hash: "%[2]s", grants: [authorization_code, refresh_token], scopes: [openid, offline_access] }
`

// newHouse makes the provider; it serves once its people are added.
func newHouse(w *world, s *site) *house {
	h := &house{&world{t: w.t, binary: w.binary, folder: w.t.TempDir()}, "http://" + free(w.t)}
	sum := sha256.Sum256([]byte(providerSecret))
	h.write("flows/flows.yaml", fmt.Sprintf(houseDefinitions, s.server, hex.EncodeToString(sum[:])))
	h.write("stile.yaml", "definitions: flows\nbase_url: "+h.issuer+"\n")
	h.write("password", password)
	return h
}

// knows adds somebody and returns who they are there.
func (h *house) knows(login string) string {
	var added struct{ Subject string }
	must(h.t, json.Unmarshal([]byte(h.run("users", "add", login, "--password-file", "password", "--format", "json")), &added))
	return h.issuer + "=" + added.Subject
}

func (h *house) open() { h.serveOn(strings.TrimPrefix(h.issuer, "http://")) }

// services are the web services that examples call: each asks for more, and allows all.
func services(s *site) string {
	return s.serve(s.certificate, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"outcome":"challenge","active":true,"permissions":["ledger:post"],"limit":500}`)
	}))
}

// staff is who the directory has: a teller, by name and by number.
const staff = `dn: dc=bank,dc=example
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

dn: ou=services,dc=bank,dc=example
objectClass: organizationalUnit
ou: services

dn: cn=stile,ou=services,dc=bank,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: stile
userPassword: search for people

dn: uid=pcounter,ou=people,dc=bank,dc=example
objectClass: inetOrgPerson
uid: pcounter
cn: Teller
sn: Teller
employeeNumber: 4711
departmentNumber: Zurich
userPassword: ` + password + `

dn: cn=tellers,ou=groups,dc=bank,dc=example
objectClass: groupOfNames
cn: tellers
member: uid=pcounter,ou=people,dc=bank,dc=example
`

const slapdConf = `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/slapd.pid
TLSCertificateFile DIR/certificate.pem
TLSCertificateKeyFile DIR/key.pem
security simple_bind=1
database mdb
suffix "dc=bank,dc=example"
directory DIR/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=stile,ou=services,dc=bank,dc=example" read by * none
`

// directory starts OpenLDAP's slapd and returns its address.
func (w *world) directory(s *site) string {
	w.t.Helper()
	path, err := exec.LookPath("slapd")
	if err != nil {
		path = "/usr/sbin/slapd"
	}
	at := &world{t: w.t, folder: w.t.TempDir()}
	at.write("certificate.pem", s.certificates)
	at.write("key.pem", s.key)
	at.write("people.ldif", staff)
	at.write("slapd.conf", strings.ReplaceAll(slapdConf, "DIR", at.folder))
	must(w.t, os.Mkdir(filepath.Join(at.folder, "db"), 0o700))
	conf := filepath.Join(at.folder, "slapd.conf")
	if out, err := exec.Command(path, "-T", "add", "-f", conf, "-l", filepath.Join(at.folder, "people.ldif")).CombinedOutput(); err != nil {
		w.t.Fatalf("slapd (go run ./cmd/dev test installs it): %v\n%s", err, out)
	}
	address := free(w.t)
	_, port, _ := net.SplitHostPort(address)
	url := "ldaps://localhost:" + port
	cmd := exec.Command(path, "-d", "0", "-f", conf, "-h", "ldaps://"+address)
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	listens := func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		return errors.Join(err, closed(c))
	}
	for end := time.Now().Add(patience); listens() != nil; {
		if time.Now().After(end) {
			w.t.Fatal("slapd does not listen")
		}
	}
	return url
}

func closed(c net.Conn) error {
	if c == nil {
		return nil
	}
	return c.Close()
}
