package androidkey

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"time"
)

// Bounds of what is looked at.
const (
	MaxCertificates = 8       // real chains have three to five
	MaxCertificate  = 8 << 10 // bytes of one of them
)

// readChain parses the certificates, the key's own first.
func readChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) < 2 || len(chain) > MaxCertificates {
		return nil, Malformed
	}
	var out []*x509.Certificate
	for _, der := range chain {
		if len(der) > MaxCertificate {
			return nil, Malformed
		}
		c, err := x509.ParseCertificate(der) // refuses bytes that follow
		if err != nil {
			return nil, Malformed
		}
		out = append(out, c)
	}
	return out, nil
}

// checkChain follows the certificates to a pinned root, which may be left out.
// The rules are fewer than those of RFC 5280 §6, which [x509.Certificate.Verify]
// holds chains to, because older phones break some of those.
func (v *Verifier) checkChain(chain []*x509.Certificate, now time.Time) error {
	for i, c := range chain[:len(chain)-1] {
		if err := issued(c, chain[i+1]); err != nil {
			return err
		}
	}
	last := chain[len(chain)-1]
	issuers := chain[1:]
	if v.isRoot(last.RawSubjectPublicKeyInfo) {
		if err := issued(last, last); err != nil {
			return err
		}
		issuers = chain[1 : len(chain)-1]
	} else if !v.issuedByRoot(last) {
		return UnknownRoot
	}
	if len(issuers) == 0 { // a root does not vouch for keys itself
		return BadChain
	}
	return v.checkIssuers(issuers, now)
}

// issued holds a certificate against the one that is said to have issued it.
func issued(c, by *x509.Certificate) error {
	if !bytes.Equal(c.RawIssuer, by.RawSubject) {
		return BadChain
	}
	if by.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
		return BadChain
	}
	return nil
}

func (v *Verifier) isRoot(spki []byte) bool {
	return slices.ContainsFunc(v.roots, func(r *x509.Certificate) bool { return bytes.Equal(r.RawSubjectPublicKeyInfo, spki) })
}

func (v *Verifier) issuedByRoot(c *x509.Certificate) bool {
	return slices.ContainsFunc(v.roots, func(r *x509.Certificate) bool { return issued(c, r) == nil })
}

// checkIssuers holds what is between the key and the root to what issuers are.
//
// Keys that a factory has put into phones stay good when their certificates have
// expired, as many have by now; those that Google provisions remotely are good
// for weeks, and how soon they end is what protects from stolen ones. The names
// tell them apart: a factory's have a serial number. The dates of the key's own
// certificate are what the phone took the time to be, and say nothing. Emulators
// go on with a software root that ended long ago.
func (v *Verifier) checkIssuers(issuers []*x509.Certificate, now time.Time) error {
	factory := !slices.ContainsFunc(issuers, func(c *x509.Certificate) bool { return c.Subject.SerialNumber == "" })
	for _, c := range issuers {
		if !c.BasicConstraintsValid || !c.IsCA {
			return BadChain
		}
		if describes(c) >= 0 {
			return Extended
		}
		if !factory && !v.InsecureDevelopment && (now.Before(c.NotBefore) || now.After(c.NotAfter)) {
			return Expired
		}
	}
	return nil
}

// extension returns the description of the key that the first certificate is about.
func extension(c *x509.Certificate) ([]byte, error) {
	i := describes(c)
	if i < 0 {
		return nil, Malformed
	}
	return c.Extensions[i].Value, nil
}

// describes finds the description of a key among the extensions, -1 without one.
// Two of one kind do not parse.
func describes(c *x509.Certificate) int {
	return slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool {
		return e.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17})
	})
}
