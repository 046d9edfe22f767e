// Package makers stands for the makers of phones: what their phones say of the
// keys that are made on them, faithfully and in software. It shares no code with
// what verifies it.
package makers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/stile-auth/stile/steps/androidkeytest"
	"github.com/stile-auth/stile/steps/appattesttest"
)

// The apps that phones have.
const (
	AndroidApp = "com.bank.app"
	AppleApp   = "ABCDE12345.com.bank.app"
)

// Certificate is the digest of the certificate that signs the app of Android.
func Certificate() []byte {
	sum := sha256.Sum256([]byte("certificate of the app"))
	return sum[:]
}

// Makers are who makes phones.
type Makers struct {
	google *androidkeytest.Maker
	apple  *appattesttest.Maker
}

// New makes them.
func New(now func() time.Time) (*Makers, error) {
	google, err := androidkeytest.NewRemote(now())
	if err != nil {
		return nil, err
	}
	apple, err := appattesttest.New(now)
	return &Makers{google, apple}, err
}

// Roots are the certificates that their words lead to.
func (m *Makers) Roots() (google, apple *x509.Certificate) { return m.google.Root(), m.apple.Root() }

// Phone is a phone with Android, by what is not as it should be in what it says.
type Phone func(*androidkeytest.Draft)

// Good is a phone as it is sold.
func Good(*androidkeytest.Draft) {}

// Emulator is a program that looks like a phone.
func Emulator(d *androidkeytest.Draft) {
	d.Level, d.KeyMintLevel, d.InSoftware, d.NoBoot = 0, 0, true, true
}

// Rooted is a phone that takes any software.
func Rooted(d *androidkeytest.Draft) { d.Locked, d.BootState = false, 2 }

// Android is what the Keystore of such a phone says of the key in the header of a
// signed binding, for that challenge.
func (m *Makers) Android(challenge, signed string, phone Phone) (any, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(signed)
	if err != nil {
		return nil, err
	}
	chain, err := m.google.Attest(key, raw, AndroidApp, Certificate(), phone)
	var text []string
	for _, der := range chain {
		text = append(text, base64.RawURLEncoding.EncodeToString(der))
	}
	return map[string]any{"format": "android-key", "chain": text}, err
}

// IPhone is the app on an iPhone, which has a key of App Attest.
type IPhone struct{ key *appattesttest.Device }

// IPhone makes one.
func (m *Makers) IPhone() (*IPhone, error) {
	key, err := m.apple.Device(AppleApp)
	return &IPhone{key}, err
}

// Object is the attestation of its key for that challenge.
func (p *IPhone) Object(challenge []byte) ([]byte, error) { return p.key.Attest(challenge) }

// Says is what the app sends beside a signed binding, for that challenge.
func (p *IPhone) Says(challenge, signed string) (any, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return nil, err
	}
	object, err := p.Object(raw)
	if err != nil {
		return nil, err
	}
	assertion, err := p.Assert(signed)
	return map[string]any{"format": "apple-appattest", "object": base64.RawURLEncoding.EncodeToString(object), "assertion": assertion}, err
}

// Assert is the app's word for a signature.
func (p *IPhone) Assert(signed string) (string, error) {
	raw, err := p.key.Assert([]byte(signed))
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// keyOf is the key in the header of a binding.
func keyOf(signed string) (*ecdsa.PublicKey, error) {
	raw, _, _ := strings.Cut(signed, ".")
	text, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil {
		return nil, err
	}
	var header struct {
		JWK struct{ X, Y string } `json:"jwk"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return nil, err
	}
	point := []byte{4}
	for _, coordinate := range []string{header.JWK.X, header.JWK.Y} {
		c, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			return nil, err
		}
		point = append(point, c...)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}
