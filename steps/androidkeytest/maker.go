package androidkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"
)

// Maker stands for Google and the makers of phones: a root, and keys that attest
// others.
type Maker struct {
	rootKey crypto.Signer
	root    *x509.Certificate
	issuers []issuer // the one that signs keys first
}

type issuer struct {
	key      *ecdsa.PrivateKey
	template x509.Certificate
}

// NewRemote is a maker whose phones get their attestation keys from a server, for
// some weeks: chains of four certificates, and a root on P-384 that they leave out
// or not.
func NewRemote(now time.Time) (*Maker, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	google := func(cn string) pkix.Name { return pkix.Name{CommonName: cn, Organization: []string{"Google LLC"}} }
	return newMaker(key, google("Key Attestation CA1"), now, 14*24*time.Hour,
		pkix.Name{CommonName: "2f1c5e0b7f6d4d0c9b6a", Organization: []string{"TEE"}}, google("Droid CA3"), google("Droid CA2"))
}

// NewFactory is a maker that puts the attestation keys into phones when it makes
// them: chains of three certificates and an RSA root. now is when the phones were
// made; ten years later everything has expired.
func NewFactory(now time.Time) (*Maker, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	tee := func(number string) pkix.Name {
		title := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 12}, Value: "TEE"}
		return pkix.Name{SerialNumber: number, ExtraNames: []pkix.AttributeTypeAndValue{title}}
	}
	return newMaker(key, pkix.Name{SerialNumber: "f92009e853b6b045"}, now, 10*365*24*time.Hour, tee("c3ecf1bbe4e1a2f0"), tee("8f3a6c0d15be7792"))
}

func newMaker(key crypto.Signer, name pkix.Name, now time.Time, life time.Duration, names ...pkix.Name) (*Maker, error) {
	template := authority(1, name, now, 10*365*24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	m := &Maker{rootKey: key}
	if m.root, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	for i, n := range names {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		m.issuers = append(m.issuers, issuer{k, authority(int64(0xa0+i), n, now, life)})
	}
	return m, nil
}

func authority(serial int64, name pkix.Name, now time.Time, life time.Duration) x509.Certificate {
	return x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: name, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// Root is the certificate that the chains lead to.
func (m *Maker) Root() *x509.Certificate { return m.root }

// Attest is what a phone answers when an app has made a key with that challenge:
// the certificates in DER, the key's own first. The edits make it say something else.
func (m *Maker) Attest(key *ecdsa.PublicKey, challenge []byte, pkg string, digest []byte, edits ...func(*Draft)) ([][]byte, error) {
	d := honest(challenge, pkg, digest)
	for _, edit := range edits {
		edit(&d)
	}
	templates := m.templates(d)
	for i, edit := range d.Chain {
		if edit != nil {
			edit(&templates[i])
		}
	}
	out := [][]byte{m.root.Raw}
	parent, signer := m.root, m.rootKey
	for i := range slices.Backward(templates) {
		public, own := crypto.PublicKey(key), crypto.Signer(nil)
		if i > 0 {
			public, own = m.issuers[i-1].key.Public(), m.issuers[i-1].key
		}
		der, err := x509.CreateCertificate(rand.Reader, &templates[i], parent, public, signer)
		if err != nil {
			return nil, err
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
		out, signer = append(out, der), own
	}
	slices.Reverse(out)
	if d.WithoutRoot {
		out = out[:len(out)-1]
	}
	return out, nil
}

// templates are the certificates to be, the key's own first.
func (m *Maker) templates(d Draft) []x509.Certificate {
	description := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}, Value: d.description()}
	leaf := x509.Certificate{ // the dates are those that Keystore writes where the app names none
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Android Keystore Key"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2048, 1, 1, 0, 0, 0, 0, time.UTC), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if !d.NoDescription {
		leaf.ExtraExtensions = append(leaf.ExtraExtensions, description)
	}
	out := []x509.Certificate{leaf}
	for _, i := range m.issuers {
		out = append(out, i.template)
	}
	if d.DescribesIssuer {
		out[1].ExtraExtensions = append(out[1].ExtraExtensions, description)
	}
	return out
}

// Extend is the attack that the rule of one description is for: whoever has a
// phone lets a genuine attested key sign a certificate for a key of their own,
// with a description made up. genuine is the chain of the key by; fake is the key
// that nobody attests.
func Extend(genuine [][]byte, by *ecdsa.PrivateKey, fake *ecdsa.PublicKey, d []byte) ([][]byte, error) {
	parent, err := x509.ParseCertificate(genuine[0])
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Android Keystore Key"}, NotBefore: time.Unix(0, 0), NotAfter: time.Date(2048, 1, 1, 0, 0, 0, 0, time.UTC),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}, Value: d}},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, fake, by)
	if err != nil {
		return nil, err
	}
	return append([][]byte{der}, genuine...), nil
}

// Describe is the description that a genuine attestation with these edits would have.
func Describe(challenge []byte, pkg string, digest []byte, edits ...func(*Draft)) []byte {
	d := honest(challenge, pkg, digest)
	for _, edit := range edits {
		edit(&d)
	}
	return d.description()
}
