package androidkey

import (
	"crypto/x509"
	_ "embed" // the roots
	"encoding/pem"
	"errors"
	"fmt"
)

//go:embed roots.pem
var googleRoots []byte

// Roots returns the roots of Google's attestations that
// https://android.googleapis.com/attestation/root published in 2026: the RSA key
// with the serial number f92009e853b6b045, and "Key Attestation CA1" (P-384),
// to which all remotely provisioned phones lead since April 2026.
func Roots() ([]*x509.Certificate, error) { return ParseRoots(googleRoots) }

// ParseRoots reads certificates in PEM. Only their names and public keys count:
// a root that has expired was issued again with the same key before now.
func ParseRoots(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("androidkey: root %d: %w", len(out)+1, errors.Join(err, errNoRoots))
		}
		out, text = append(out, c), rest
	}
	if len(out) == 0 {
		return nil, errNoRoots
	}
	return out, nil
}

var errNoRoots = errors.New("androidkey: no certificates in PEM")
