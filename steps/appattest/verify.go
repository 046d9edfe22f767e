package appattest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	_ "embed" // the root
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxObject is the length in bytes of the longest attestation that is looked at.
const MaxObject = 32 << 10

//go:embed root.pem
var appleRoot []byte

// Roots returns the Apple App Attestation Root CA. It is not the root of Apple's passkeys.
func Roots() ([]*x509.Certificate, error) { return ParseRoots(appleRoot) }

// ParseRoots reads certificates in PEM.
func ParseRoots(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("appattest: root %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("appattest: no certificates in PEM")
	}
	return out, nil
}

// Config is what is trusted.
type Config struct {
	Roots []*x509.Certificate // that chains may lead to; see [Roots]
	Apps  []string            // TEAMID.BUNDLE of each
	// InsecureDevelopment accepts what development builds of the apps attest.
	InsecureDevelopment bool
}

// Verifier verifies attestations and assertions. Make one with [New].
type Verifier struct {
	Config
	roots *x509.CertPool
}

// New checks the configuration.
func New(c Config) (*Verifier, error) {
	if len(c.Roots) == 0 || len(c.Apps) == 0 || slices.Contains(c.Apps, "") {
		return nil, errors.New("appattest: no roots or no apps")
	}
	v := &Verifier{c, x509.NewCertPool()}
	for _, r := range c.Roots {
		v.roots.AddCert(r)
	}
	return v, nil
}

// Key is a key that was attested.
type Key struct {
	Point []byte // SEC 1 §2.3.3, uncompressed
	App   string // TEAMID.BUNDLE of the app that has it
}

// Attest checks an attestation: that the key in it was made by Apple's hardware,
// in an app of ours, and has signed nothing yet. clientData is what the app was
// told to have attested.
//
// The receipt in an attestation is for Apple and is not looked at.
func (v *Verifier) Attest(object, clientData []byte, now time.Time) (Key, error) {
	chain, data, err := open(object)
	if err != nil {
		return Key{}, err
	}
	if err := v.checkChain(chain, now); err != nil {
		return Key{}, err
	}
	if err := checkNonce(chain[0], nonce(data, clientData)); err != nil {
		return Key{}, err
	}
	auth, err := readAuthData(data)
	if err != nil {
		return Key{}, err
	}
	c, err := auth.credential()
	if err != nil {
		return Key{}, err
	}
	point, err := samePoint(chain[0], c)
	if err != nil {
		return Key{}, err
	}
	app, known := v.app(auth.app)
	if !known {
		return Key{}, WrongApp
	}
	if auth.counter != 0 {
		return Key{}, Used
	}
	if err := v.environment(c.aaguid); err != nil {
		return Key{}, err
	}
	return Key{point, app}, nil
}

// open reads the certificates and the authenticator data of an attestation object.
func open(object []byte) ([]*x509.Certificate, []byte, error) {
	if len(object) > MaxObject {
		return nil, nil, Malformed
	}
	top, err := members(object, 3)
	if err != nil {
		return nil, nil, err
	}
	var format string
	if webauthncbor.Unmarshal(top["fmt"], &format) != nil || format != "apple-appattest" {
		return nil, nil, WrongFormat
	}
	statement, err := members(top["attStmt"], 2)
	if err != nil {
		return nil, nil, err
	}
	var x5c []webauthncbor.RawMessage
	if webauthncbor.Unmarshal(statement["x5c"], &x5c) != nil || len(x5c) != 2 {
		return nil, nil, Malformed
	}
	var chain []*x509.Certificate
	for _, raw := range x5c {
		text, err := octets(raw)
		if err != nil {
			return nil, nil, err
		}
		c, err := x509.ParseCertificate(text)
		if err != nil {
			return nil, nil, Malformed
		}
		chain = append(chain, c)
	}
	if _, err := octets(statement["receipt"]); err != nil {
		return nil, nil, err
	}
	data, err := octets(top["authData"])
	return chain, data, err
}

// checkChain follows key, issuer, root.
func (v *Verifier) checkChain(chain []*x509.Certificate, now time.Time) error {
	issuers := x509.NewCertPool()
	issuers.AddCert(chain[1])
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: v.roots, Intermediates: issuers, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return BadChain
	}
	return nil
}

// nonce is what Apple signs: the hash of the data and of the hash of what the app said.
func nonce(data, clientData []byte) []byte {
	said := sha256.Sum256(clientData)
	sum := sha256.Sum256(slices.Concat(data, said[:]))
	return sum[:]
}

// checkNonce reads SEQUENCE { [1] EXPLICIT OCTET STRING } from the certificate of the key.
func checkNonce(c *x509.Certificate, want []byte) error {
	for _, e := range c.Extensions { // two of one kind do not parse
		if !e.Id.Equal(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}) {
			continue
		}
		text := cryptobyte.String(e.Value)
		var sequence, tagged, got cryptobyte.String
		ok := text.ReadASN1(&sequence, der.SEQUENCE) && text.Empty() &&
			sequence.ReadASN1(&tagged, der.Tag(1).ContextSpecific().Constructed()) && sequence.Empty() &&
			tagged.ReadASN1(&got, der.OCTET_STRING) && tagged.Empty()
		if !ok {
			return Malformed
		}
		if subtle.ConstantTimeCompare(got, want) != 1 {
			return WrongChallenge
		}
		return nil
	}
	return Malformed
}

// samePoint holds the key of the certificate against the one in the data, and
// both against the id that names them: SHA-256 of the point.
func samePoint(c *x509.Certificate, in credential) ([]byte, error) {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, WrongKey
	}
	point, err := key.Bytes()
	if err != nil || !bytes.Equal(point, slices.Concat([]byte{4}, in.x, in.y)) {
		return nil, WrongKey
	}
	if id := sha256.Sum256(point); !bytes.Equal(id[:], in.id) {
		return nil, WrongKey
	}
	return point, nil
}

func (v *Verifier) app(hash []byte) (string, bool) {
	for _, app := range v.Apps {
		if sum := sha256.Sum256([]byte(app)); bytes.Equal(sum[:], hash) {
			return app, true
		}
	}
	return "", false
}

// Assert checks an assertion of an attested key over clientData, and returns its
// counter. The caller refuses one that has not risen since the last, and stores it,
// in one transaction.
func (v *Verifier) Assert(assertion []byte, key Key, clientData []byte) (counter uint32, err error) {
	if len(assertion) > MaxObject {
		return 0, Malformed
	}
	parts, err := members(assertion, 2)
	if err != nil {
		return 0, err
	}
	signature, err := octets(parts["signature"])
	if err != nil {
		return 0, err
	}
	data, err := octets(parts["authenticatorData"])
	if err != nil {
		return 0, err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.Point)
	if err != nil {
		return 0, fmt.Errorf("appattest: stored key: %w", err)
	}
	// The nonce is the message, not its hash: ECDSA with SHA-256 hashes it once more.
	sum := sha256.Sum256(nonce(data, clientData))
	if !ecdsa.VerifyASN1(public, sum[:], signature) {
		return 0, BadAssertion
	}
	auth, err := readAuthData(data)
	if err != nil {
		return 0, err
	}
	if app := sha256.Sum256([]byte(key.App)); !bytes.Equal(app[:], auth.app) || !slices.Contains(v.Apps, key.App) {
		return 0, AssertionApp
	}
	return auth.counter, auth.ends()
}
