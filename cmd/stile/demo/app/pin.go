package app

import (
	"crypto/subtle"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// Errors of the PIN of a device.
var (
	ErrPIN       = errors.New("app: the PIN is wrong")
	ErrDestroyed = errors.New("app: too many wrong PINs: the key is destroyed")
)

const pinTries = 10 // SP 800-63B-4 §3.2.10

// pinKey is a key that opens with a PIN. Nothing but it knows the PIN.
type pinKey struct {
	key   *deviceKey
	pin   string
	wrong int // in a row
}

// open returns the key if the PIN is right. After ten wrong ones there is no key.
func (k *pinKey) open(pin string) (*deviceKey, error) {
	switch {
	case k == nil:
		return nil, ErrNotEnrolled
	case k.key == nil:
		return nil, ErrDestroyed
	case subtle.ConstantTimeCompare([]byte(k.pin), []byte(pin)) == 1:
		k.wrong = 0
		return k.key, nil
	}
	if k.wrong++; k.wrong >= pinTries {
		k.key, k.pin = nil, ""
		return nil, ErrDestroyed
	}
	return nil, ErrPIN
}

// EnrolPIN makes a new key that opens with the PIN, and signs the prompt with it
// (devbind+jwt). It is used only after [Device.ConfirmPIN].
func (d *Device) EnrolPIN(p Prompt, pin string) (string, error) {
	if err := p.check(d.cfg.Now()); err != nil {
		return "", err
	}
	key, err := newKey()
	if err != nil {
		return "", err
	}
	signed, err := key.sign(map[string]any{"typ": "devbind+jwt", "jwk": key.jwk}, d.binding(p))
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pinPending = &pinKey{key: key, pin: pin}
	return signed, nil
}

// ConfirmPIN takes the key of the last EnrolPIN into use: the server has accepted it.
func (d *Device) ConfirmPIN() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pinPending != nil {
		d.pinned, d.pinPending = d.pinPending, nil
	}
}

// PINAuthenticatorID is the thumbprint of the key behind the PIN; "" before an enrolment.
func (d *Device) PINAuthenticatorID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pinned == nil || d.pinned.key == nil {
		return ""
	}
	return d.pinned.key.thumbprint
}

// AuthenticatePIN signs the prompt with the key that the PIN opens (devauth+jwt)
// for that client. [ErrNotEnrolled] without one, [ErrPIN] if the PIN is wrong,
// [ErrDestroyed] after ten wrong ones.
func (d *Device) AuthenticatePIN(p Prompt, clientID, pin string) (string, error) {
	if err := p.check(d.cfg.Now()); err != nil {
		return "", err
	}
	d.mu.Lock()
	key, err := d.pinned.open(pin)
	d.mu.Unlock()
	if err != nil {
		return "", err
	}
	return key.sign(map[string]any{"typ": "devauth+jwt", "kid": key.thumbprint}, d.authentication(p, clientID, key))
}

// binding is what a new key signs.
func (d *Device) binding(p Prompt) jwt.MapClaims {
	now := d.cfg.Now()
	return jwt.MapClaims{
		"aud": p.Audience, "nonce": p.Challenge, "flow": p.Flow, "step": p.Step, "jkt": d.Thumbprint(),
		"iat": now.Unix(), "exp": now.Add(signatureLife).Unix(),
	}
}

// authentication is what a bound key signs.
func (d *Device) authentication(p Prompt, clientID string, key *deviceKey) jwt.MapClaims {
	now := d.cfg.Now()
	return jwt.MapClaims{
		"aud": p.Audience, "iss": clientID, "sub": key.thumbprint, "nonce": p.Challenge,
		"flow": p.Flow, "step": p.Step, "iat": now.Unix(), "exp": now.Add(signatureLife).Unix(),
	}
}
