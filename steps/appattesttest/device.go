package appattesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"time"
)

// Maker stands for Apple: a root, and an issuer of attestations.
type Maker struct {
	root, issuer       *x509.Certificate
	rootKey, issuerKey *ecdsa.PrivateKey
	now                func() time.Time
}

// New returns a maker whose clock is now.
func New(now func() time.Time) (*Maker, error) {
	m := &Maker{now: now}
	var err error
	if m.rootKey, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		return nil, err
	}
	if m.issuerKey, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		return nil, err
	}
	authority := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Apple Inc."}, Province: []string{"California"}},
			NotBefore: now().AddDate(-1, 0, 0), NotAfter: now().AddDate(20, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root := authority(1, "Apple App Attestation Root CA")
	if m.root, err = sign(root, root, m.rootKey, m.rootKey); err != nil {
		return nil, err
	}
	m.issuer, err = sign(authority(2, "Apple App Attestation CA 1"), m.root, m.issuerKey, m.rootKey)
	return m, err
}

func sign(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Root is the certificate that the attestations lead to.
func (m *Maker) Root() *x509.Certificate { return m.root }

// Device is an app's key of App Attest. It counts what it signs.
type Device struct {
	maker   *Maker
	app     string
	key     *ecdsa.PrivateKey
	counter uint32
}

// Device makes a key for an app, TEAMID.BUNDLE.
func (m *Maker) Device(app string) (*Device, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Device{maker: m, app: app, key: key}, nil
}

// Draft is everything that an attestation or an assertion says, before it is signed.
type Draft struct {
	Format       string
	App          string
	Flags        byte
	Counter      uint32
	AAGUID       []byte
	ID           []byte // of the credential
	Point        []byte // of the credential, uncompressed
	Algorithm    int    // COSE
	Extensions   []byte // CBOR after the data
	ClientData   []byte
	Nonce        func(nonce []byte) []byte // changes the DER of the extension's value
	NoNonce      bool
	Certificate  func(*x509.Certificate) // changes the template of the key's certificate
	Certificates func([][]byte) [][]byte // changes x5c
	Statement    []byte                  // attStmt in CBOR; nil: x5c and receipt
	Receipt      []byte
	Extra        bool   // the object has one member more
	Twice        bool   // an assertion signs the hash of the nonce, and not the nonce
	Trailing     []byte // after the object
}

// Attest is what the app gets from the system for clientData.
func (d *Device) Attest(clientData []byte, edits ...func(*Draft)) ([]byte, error) {
	point, err := d.key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(point)
	draft := Draft{
		Format: "apple-appattest", App: d.app, Flags: 0x40, AAGUID: append([]byte("appattest"), make([]byte, 7)...),
		ID: id[:], Point: point, Algorithm: -7, ClientData: clientData, Receipt: []byte("receipt"),
	}
	for _, edit := range edits {
		edit(&draft)
	}
	data := draft.head()
	data = append(data, draft.AAGUID...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(draft.ID))) //nolint:gosec // ids are short
	data = slices.Concat(data, draft.ID, dict(
		integer(1), integer(2), integer(3), integer(draft.Algorithm),
		integer(-1), integer(1), integer(-2), octets(draft.Point[1:33]), integer(-3), octets(draft.Point[33:]),
	), draft.Extensions)
	leaf, err := d.certificate(draft, id[:], nonce(data, draft.ClientData))
	if err != nil {
		return nil, err
	}
	x5c := [][]byte{leaf.Raw, d.maker.issuer.Raw}
	if draft.Certificates != nil {
		x5c = draft.Certificates(x5c)
	}
	var items [][]byte
	for _, c := range x5c {
		items = append(items, octets(c))
	}
	statement := dict(text("x5c"), list(items...), text("receipt"), octets(draft.Receipt))
	if draft.Statement != nil {
		statement = draft.Statement
	}
	return draft.object(text("fmt"), text(draft.Format), text("attStmt"), statement, text("authData"), octets(data)), nil
}

// certificate is that of the key: good for three days, and named after it.
func (d *Device) certificate(draft Draft, id, nonce []byte) (*x509.Certificate, error) {
	wrapped, err := asn1.Marshal(nonce)
	if err != nil {
		return nil, err
	}
	tagged, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: wrapped})
	if err != nil {
		return nil, err
	}
	value, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: tagged})
	if err != nil {
		return nil, err
	}
	if draft.Nonce != nil {
		value = draft.Nonce(value)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: d.maker.now().Add(-24 * time.Hour), NotAfter: d.maker.now().Add(48 * time.Hour),
		Subject:               pkix.Name{CommonName: hex.EncodeToString(id), OrganizationalUnit: []string{"AAA Certification"}, Organization: []string{"Apple Inc."}},
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 7}, Value: []byte{0x30, 0}},
		},
	}
	if !draft.NoNonce {
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}, Value: value})
	}
	if draft.Certificate != nil {
		draft.Certificate(template)
	}
	return sign(template, d.maker.issuer, d.key, d.maker.issuerKey)
}

// Assert is what the app gets from the system for clientData once the key is attested.
func (d *Device) Assert(clientData []byte, edits ...func(*Draft)) ([]byte, error) {
	d.counter++
	draft := Draft{App: d.app, Flags: 0x40, Counter: d.counter, ClientData: clientData}
	for _, edit := range edits {
		edit(&draft)
	}
	data := append(draft.head(), draft.Extensions...)
	message := nonce(data, draft.ClientData)
	hash := sha256.Sum256(message)
	if draft.Twice {
		hash = [32]byte(message)
	}
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, hash[:])
	if err != nil {
		return nil, err
	}
	return draft.object(text("signature"), octets(signature), text("authenticatorData"), octets(data)), nil
}

// object is a map of these members, and what follows it.
func (d Draft) object(members ...[]byte) []byte {
	if d.Extra {
		members = append(members, text("more"), integer(1))
	}
	return append(dict(members...), d.Trailing...)
}

// head is the part of the data that attestations and assertions have in common.
func (d Draft) head() []byte {
	app := sha256.Sum256([]byte(d.App))
	return binary.BigEndian.AppendUint32(append(app[:], d.Flags), d.Counter)
}

func nonce(data, clientData []byte) []byte {
	said := sha256.Sum256(clientData)
	sum := sha256.Sum256(slices.Concat(data, said[:]))
	return sum[:]
}

// Extension is a map of one extension, as new versions of iOS add it.
func Extension(name, value string) []byte { return dict(text(name), text(value)) }
