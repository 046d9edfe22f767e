package devicekey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/androidkey"
	"github.com/stile-auth/stile/steps/appattest"
	"github.com/stile-auth/stile/steps/devicejws"
)

// Attestation verifies what the makers of phones say of keys and apps. The zero
// value verifies nothing: no phone can attest anything then.
type Attestation struct {
	Android *androidkey.Verifier // nil: no phone with Android can
	Apple   *appattest.Verifier  // nil: no iPhone can
}

func (t Attestation) none() bool { return t.Android == nil && t.Apple == nil }

// How much an author wants of it.
const (
	none      = "none"
	preferred = "preferred"
	required  = "required"
)

func checkMode(key, mode string) error {
	if slices.Contains([]string{none, preferred, required}, mode) {
		return nil
	}
	return fmt.Errorf("%s must be none, preferred or required, not %q", key, mode)
}

// The formats of statements, as WebAuthn and Apple call them.
const (
	formatAndroid = "android-key"
	formatApple   = "apple-appattest"
)

// statement is what a phone says of a key.
type statement struct {
	Format    string   `json:"format" enum:"android-key,apple-appattest"`
	Chain     []string `json:"chain,omitempty" doc:"Of android-key: the certificates of the key in base64url, its own first, as the Keystore gives them."`
	Object    string   `json:"object,omitempty" maxLength:"43691" doc:"Of apple-appattest: the attestation object in base64url."`
	Assertion string   `json:"assertion,omitempty" maxLength:"8192" doc:"Of apple-appattest: an assertion of the attested key over jws, in base64url."`
}

// wanted is what a phone is asked for.
type wanted struct {
	Mode    string    `json:"mode" enum:"preferred,required"`
	Android *platform `json:"android,omitempty" doc:"Absent: nothing is accepted from Android."`
	IOS     *platform `json:"ios,omitempty" doc:"Absent: nothing is accepted from iPhones."`
}

type platform struct {
	Challenge string `json:"challenge" doc:"In base64url; its bytes are what is to be attested."`
}

func (t Attestation) wanted(mode, nonce string) *wanted {
	if mode == none || t.none() {
		return nil
	}
	w := &wanted{Mode: mode}
	if t.Android != nil {
		w.Android = &platform{nonce}
	}
	if t.Apple != nil {
		w.IOS = &platform{nonce}
	}
	return w
}

// refused is a word for what is wrong beside the signature and the statement.
type refused string

const (
	notAttested  refused = "not_attested"        // and it had to be
	otherFormat  refused = "attestation_format"  // of a kind of phone that is not asked for, or without its parts
	notAsserted  refused = "assertion_absent"    // the key was bound with App Attest and signs without
	badAssertion refused = "assertion_malformed" // not in base64url
	counted      refused = "assertion_counted"   // the counter has not risen: there may be a copy
)

func (r refused) Error() string { return "devicekey: " + string(r) }

// refusal is the word for a client's mistake; false: the mistake is not the client's.
func refusal(err error) (string, bool) {
	var signature devicejws.Refusal
	var android androidkey.Refusal
	var apple appattest.Refusal
	var own refused
	switch {
	case errors.As(err, &signature):
		return string(signature), true
	case errors.As(err, &android):
		return string(android), true
	case errors.As(err, &apple):
		return string(apple), true
	case errors.As(err, &own):
		return string(own), true
	}
	return "", false
}

// made is what a statement has to be about: this key, this challenge, this signature.
type made struct {
	jws       string
	key       devicejws.Key
	nonce     string
	biometric bool
	owner     string
	now       time.Time
}

// verify returns what is proved of the key.
func (t Attestation) verify(s statement, m made) (account.DeviceData, error) {
	challenge, err := decode(m.nonce)
	if err != nil {
		return account.DeviceData{}, fmt.Errorf("devicekey: challenge: %w", err)
	}
	switch {
	case s.Format == formatAndroid && t.Android != nil && s.Object == "" && s.Assertion == "":
		return t.android(s, m, challenge)
	case s.Format == formatApple && t.Apple != nil && len(s.Chain) == 0:
		return t.apple(s, m, challenge)
	}
	return account.DeviceData{}, otherFormat
}

// android verifies what the maker says of the very key that has signed.
func (t Attestation) android(s statement, m made, challenge []byte) (account.DeviceData, error) {
	var chain [][]byte
	for _, text := range s.Chain {
		der, err := decode(text)
		if err != nil || len(chain) == androidkey.MaxCertificates {
			return account.DeviceData{}, androidkey.Malformed
		}
		chain = append(chain, der)
	}
	k, err := t.Android.Verify(chain, androidkey.Want{Challenge: challenge, Key: m.key.Public(), Biometric: m.biometric, Now: m.now})
	if errors.Is(err, androidkey.ErrStale) {
		return account.DeviceData{}, fmt.Errorf("%w: %w", flows.ErrUnavailable, err)
	}
	if err != nil {
		return account.DeviceData{}, err
	}
	return account.DeviceData{
		Attested: true, Platform: account.PlatformAndroid, Storage: k.Level.String(), Biometric: k.Biometric, App: k.Package,
	}, nil
}

// apple verifies that our app on a genuine iPhone has made the signature. Apple
// says nothing of the key that signed: that it is in the Secure Enclave, and what
// opens it, is the word of the app, which Apple vouches for.
func (t Attestation) apple(s statement, m made, challenge []byte) (account.DeviceData, error) {
	object, err := decode(s.Object)
	if err != nil {
		return account.DeviceData{}, appattest.Malformed
	}
	k, err := t.Apple.Attest(object, challenge, m.now)
	if err != nil {
		return account.DeviceData{}, err
	}
	counter, err := t.assertion(s.Assertion, k, m.jws)
	if err != nil {
		return account.DeviceData{}, err
	}
	if counter == 0 { // that of the attestation
		return account.DeviceData{}, counted
	}
	return account.DeviceData{
		Attested: true, Platform: account.PlatformIOS, Storage: account.StorageSecureEnclave, Biometric: m.biometric, App: k.App,
		AppAttest: &account.AppAttestData{Key: k.Point, Counter: counter, Owner: m.owner},
	}, nil
}

// assertion verifies that the attested app made the JWS, and returns the counter.
func (t Attestation) assertion(text string, k appattest.Key, jws string) (uint32, error) {
	if text == "" {
		return 0, notAsserted
	}
	raw, err := decode(text)
	if err != nil {
		return 0, badAssertion
	}
	return t.Apple.Assert(raw, k, []byte(jws))
}

// decode reads base64url, in its one spelling.
func decode(text string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(text) }
