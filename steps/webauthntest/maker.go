package webauthntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"slices"
	"time"
)

// Maker is a maker of authenticators: a certification authority that vouches for
// one model, with statements of the format packed (Web Authentication §8.2).
type Maker struct {
	root, leaf []byte
	key        *ecdsa.PrivateKey
}

// NewMaker returns a maker of that model.
func NewMaker(model [16]byte, now time.Time) (*Maker, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Maker"}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	id, err := asn1.Marshal(model[:])
	if err != nil {
		return nil, err
	}
	certificate := &x509.Certificate{ // §8.2.1
		SerialNumber: big.NewInt(2), NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, BasicConstraintsValid: true,
		Subject: pkix.Name{
			Country: []string{"CH"}, Organization: []string{"Maker"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Model",
		},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: id}},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, certificate, authority, key.Public(), rootKey)
	return &Maker{root, leaf, key}, err
}

// Root is the certificate that the maker's statements lead to, as FIDO metadata have it.
func (m *Maker) Root() string { return base64.StdEncoding.EncodeToString(m.root) }

// statement makes the attestation statement of a format.
func (a *Authenticator) statement(c *credential, d Draft, data, client []byte) ([]byte, error) {
	if d.Format == "none" {
		return dict(), nil
	}
	sum := sha256.Sum256(client)
	signed := slices.Concat(data, sum[:])
	if d.Damage {
		signed = append(signed, 0)
	}
	if a.Maker == nil { // self attestation
		signature, err := c.key.sign(signed)
		return dict(text("alg"), integer(c.key.alg), text("sig"), octets(signature)), err
	}
	hash := sha256.Sum256(signed)
	signature, err := a.Maker.key.Sign(rand.Reader, hash[:], crypto.SHA256)
	return dict(text("alg"), integer(ES256), text("sig"), octets(signature), text("x5c"), list(octets(a.Maker.leaf))), err
}

// Statement is an attestation statement with nothing right in it.
func Statement() []byte { return dict(text("alg"), integer(ES256), text("sig"), octets([]byte("x"))) }
