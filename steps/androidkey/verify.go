package androidkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// Level says where a key is kept, and who attests it.
type Level int

// The levels, lowest first.
const (
	SoftwareOnly Level = iota // nowhere safe
	TEE                       // the trusted execution environment of the main processor
	StrongBox                 // a processor of its own
)

// String is the level's word.
func (l Level) String() string {
	switch l {
	case StrongBox:
		return "strongbox"
	case TEE:
		return "tee"
	default:
		return "software"
	}
}

// App is an app and who signed it.
type App struct {
	Package     string
	Certificate []byte // SHA-256 of the signing certificate
}

// Config is what is trusted, and what is asked for.
type Config struct {
	// Roots that chains may lead to. Required; see [Roots].
	Roots []*x509.Certificate
	// Apps whose keys are accepted. Required. An app whose key was rotated is listed once for each.
	Apps []App
	// Revocations of Google. Nil: none is known of.
	Revocations *Revocations
	// MinPatch is the oldest month of Android's security patches, as YYYYMM. Zero: any.
	MinPatch int
	// MaxOpen is how long a key may stay open after the person was recognised.
	// Zero: each signature needs that again.
	MaxOpen time.Duration
	// InsecureDevelopment accepts emulators, whose attestations are made by software.
	InsecureDevelopment bool
}

// Want is what one attestation must have been made for.
type Want struct {
	Challenge []byte           // what the key was to be made with
	Key       *ecdsa.PublicKey // the key that the attestation has to be about
	// Biometric demands that the key opens to the person's biometrics and to nothing else.
	Biometric bool
	Now       time.Time
}

// Key is what is attested of a key.
type Key struct {
	Level     Level
	Package   string // of the app that it belongs to
	Biometric bool   // it opens to biometrics and to nothing else
}

// Verifier verifies attestations. Make one with [New].
type Verifier struct {
	Config
	roots []*x509.Certificate
}

// New checks the configuration.
func New(c Config) (*Verifier, error) {
	if len(c.Roots) == 0 || len(c.Apps) == 0 {
		return nil, errors.New("androidkey: no roots or no apps")
	}
	for _, a := range c.Apps {
		if a.Package == "" || len(a.Certificate) != 32 {
			return nil, errors.New("androidkey: an app without a name or the SHA-256 of its certificate")
		}
	}
	return &Verifier{c, slices.Clone(c.Roots)}, nil
}

// Verify checks an attestation, the certificates in DER and the key's own first.
// What is wrong with it is a [Refusal]; [ErrStale] if it cannot be known now
// whether it was revoked.
func (v *Verifier) Verify(certificates [][]byte, want Want) (Key, error) {
	chain, err := readChain(certificates)
	if err != nil {
		return Key{}, err
	}
	if err := v.checkChain(chain, want.Now); err != nil {
		return Key{}, err
	}
	if err := v.Revocations.check(chain, want.Now); err != nil {
		return Key{}, err
	}
	if !sameKey(chain[0], want.Key) {
		return Key{}, WrongKey
	}
	data, err := extension(chain[0])
	if err != nil {
		return Key{}, err
	}
	d, err := readDescription(data)
	if err != nil {
		return Key{}, err
	}
	return v.judge(d, want)
}

// sameKey demands P-256 and the very key.
func sameKey(c *x509.Certificate, want *ecdsa.PublicKey) bool {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	return ok && want != nil && key.Curve == elliptic.P256() && key.Equal(want)
}

// judge holds a description against the policy.
func (v *Verifier) judge(d description, want Want) (Key, error) {
	if len(want.Challenge) == 0 || subtle.ConstantTimeCompare(d.challenge, want.Challenge) != 1 {
		return Key{}, WrongChallenge
	}
	if d.attestation != d.keymint {
		return Key{}, Software
	}
	enforced := d.hardware // what the phone's maker vouches for; the rest is Android's word
	if d.attestation == SoftwareOnly {
		if !v.InsecureDevelopment {
			return Key{}, Software
		}
		enforced = d.software
	} else if err := v.checkPhone(d.hardware); err != nil {
		return Key{}, err
	}
	if err := checkKey(d, enforced); err != nil {
		return Key{}, err
	}
	biometric, err := v.opens(d, enforced)
	if err != nil {
		return Key{}, err
	}
	if want.Biometric && !biometric {
		return Key{}, Unprotected
	}
	app, err := v.app(d.software)
	if err != nil {
		return Key{}, err
	}
	return Key{Level: d.attestation, Package: app, Biometric: biometric}, nil
}

// checkPhone checks how the phone has started, and with what patches.
func (v *Verifier) checkPhone(a authorizations) error {
	boot, err := a.boot()
	if err != nil {
		return err
	}
	if !boot.locked {
		return Unlocked
	}
	if !boot.verified {
		return Unverified
	}
	patch, _, err := a.number(tagOSPatch)
	if err != nil {
		return err
	}
	if patch < int64(v.MinPatch) {
		return OldPatch
	}
	return nil
}

// checkKey checks what the key is and what it may do.
func checkKey(d description, a authorizations) error {
	if err := a.is(tagOrigin, 0, WrongOrigin); err != nil { // GENERATED
		return err
	}
	purposes, err := a.purposes()
	if err != nil {
		return err
	}
	if !slices.Equal(purposes, []int64{2}) { // SIGN
		return WrongPurpose
	}
	for _, must := range []struct {
		tag  int
		want int64
	}{{tagAlgorithm, 3}, {tagKeySize, 256}, {tagCurve, 1}} { // EC, P-256
		if err := a.is(must.tag, must.want, WrongKey); err != nil {
			return err
		}
	}
	if d.software.has(tagAllApplications) || d.hardware.has(tagAllApplications) {
		return Shared
	}
	return nil
}

// userAuthBiometric is the bit of HardwareAuthenticatorType that stands for biometrics; 1 is the phone's PIN.
const userAuthBiometric = 2

// opens reports whether biometrics, and nothing else, open the key, and only for as
// long as the policy allows.
func (v *Verifier) opens(d description, a authorizations) (bool, error) {
	if d.software.has(tagNoAuth) || d.hardware.has(tagNoAuth) {
		return false, nil
	}
	by, _, err := a.number(tagUserAuth)
	if err != nil {
		return false, err
	}
	for _, list := range []authorizations{d.software, d.hardware} {
		seconds, timed, err := list.number(tagAuthTimeout)
		if err != nil {
			return false, err
		}
		if timed && seconds > int64(v.MaxOpen/time.Second) {
			return false, TooLong
		}
	}
	return by == userAuthBiometric, nil
}

// app finds the app that the key belongs to. Android itself says which it is, so
// this is worth what the verified start of the phone is worth.
func (v *Verifier) app(a authorizations) (string, error) {
	app, err := a.application()
	if err != nil {
		return "", err
	}
	if len(app.packages) != 1 || len(app.digests) == 0 {
		return "", WrongApp
	}
	for _, sum := range app.digests {
		if !slices.ContainsFunc(v.Apps, func(ours App) bool {
			return ours.Package == app.packages[0] && bytes.Equal(ours.Certificate, sum)
		}) {
			return "", WrongApp
		}
	}
	return app.packages[0], nil
}
