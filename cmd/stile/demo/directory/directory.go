// Package directory is a small LDAP directory for demonstrations: simple binds and searches
// (RFC 4511 §4.2, §4.5) over TLS, on loopback, over entries in memory. It is
// faithful in what Stile asks of a directory, and knows nothing else.
package directory

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Entry is an entry. Its attributes are in lower case.
type Entry struct {
	DN         string
	Password   string // what it binds with; "": nobody binds as it
	Attributes map[string][]string
}

// Directory is a running directory. Close it. It is safe for concurrent use.
type Directory struct {
	URL string // ldaps://
	CA  []byte // PEM: what its certificate is held against

	reader string // DN of who may search
	listen net.Listener
	done   sync.WaitGroup

	mu      sync.Mutex
	entries []Entry
	open    map[net.Conn]bool
	closed  bool
}

// Open starts one with those entries, which the reader alone may search.
func Open(reader string, entries ...Entry) (*Directory, error) {
	cert, ca, err := certificate()
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	d := &Directory{URL: "ldaps://" + l.Addr().String(), CA: ca, reader: reader, listen: l, entries: entries, open: map[net.Conn]bool{}}
	d.done.Go(d.serve)
	return d, nil
}

// Set replaces the values of an attribute.
func (d *Directory) Set(dn, attribute string, values ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.entries {
		if d.entries[i].DN == dn {
			d.entries[i].Attributes = maps.Clone(d.entries[i].Attributes)
			d.entries[i].Attributes[attribute] = values
		}
	}
}

// Close ends it, with every connection.
func (d *Directory) Close() error {
	d.mu.Lock()
	d.closed = true
	errs := []error{d.listen.Close()}
	for c := range d.open {
		_ = c.Close() // whoever was faster
	}
	d.mu.Unlock()
	d.done.Wait()
	return errors.Join(errs...)
}

func (d *Directory) serve() {
	for {
		c, err := d.listen.Accept()
		if err != nil {
			return
		}
		if !d.keep(c) {
			_ = c.Close()
			return
		}
		d.done.Go(func() {
			defer d.drop(c)
			d.talk(c)
		})
	}
}

func (d *Directory) keep(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[c] = true
	return !d.closed
}

func (d *Directory) drop(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, c)
	_ = c.Close() // it is over in any case
}

// binds says whether a name and a password belong together.
func (d *Directory) binds(dn, password string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.entries, func(e Entry) bool {
		return e.Password != "" && strings.EqualFold(e.DN, dn) && subtle.ConstantTimeCompare([]byte(e.Password), []byte(password)) == 1
	})
}

// below are the entries at base or below it that fit.
func (d *Directory) below(base string, fits func(Entry) bool) []Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Entry
	for _, e := range d.entries {
		dn := strings.ToLower(e.DN)
		if (dn == strings.ToLower(base) || strings.HasSuffix(dn, ","+strings.ToLower(base))) && fits(e) {
			out = append(out, e)
		}
	}
	return out
}

// certificate makes one for this machine that is its own authority.
func certificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := time.Now()
	is := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "directory of a demonstration"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, is, is, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
