package app

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Errors of a device.
var (
	ErrNotEnrolled = errors.New("app: this device is not enrolled")
	ErrBiometrics  = errors.New("app: the owner was not recognised")
)

const signatureLife = time.Minute // the most that the contract allows

// DeviceConfig says what a device is made of.
type DeviceConfig struct {
	// Now is the phone's clock. Required.
	Now func() time.Time
	// Biometrics looks at whoever holds the phone and says whether it is the
	// owner. It is asked before each signature of the enrolled key. Required.
	Biometrics func() bool
}

// Device is a phone's key store in software. It has a DPoP key from the
// beginning and an enrolled key after an enrolment. Safe for concurrent use.
type Device struct {
	cfg  DeviceConfig
	dpop *deviceKey

	mu       sync.Mutex
	enrolled *deviceKey // what the server has accepted
	pending  *deviceKey // what it was offered

	pinned, pinPending *pinKey // the same of the key behind a PIN
}

// NewDevice makes a device with a fresh DPoP key.
func NewDevice(cfg DeviceConfig) (*Device, error) {
	if cfg.Now == nil || cfg.Biometrics == nil {
		return nil, errors.New("app: a device needs Now and Biometrics")
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return &Device{cfg: cfg, dpop: key}, nil
}

// Thumbprint is the RFC 7638 thumbprint of the DPoP key.
func (d *Device) Thumbprint() string { return d.dpop.thumbprint }

// AuthenticatorID is the thumbprint of the enrolled key; "" before an enrolment.
func (d *Device) AuthenticatorID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.enrolled == nil {
		return ""
	}
	return d.enrolled.thumbprint
}

// Proof makes a DPoP proof (RFC 9449 section 4.2) for one request. The URL has
// neither query nor fragment. With a token it carries its hash (ath), with a
// nonce that nonce.
func (d *Device) Proof(method, url, token, nonce string) (string, error) {
	claims := jwt.MapClaims{"jti": random(), "htm": method, "htu": url, "iat": d.cfg.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = encode(sum[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return d.dpop.sign(map[string]any{"typ": "dpop+jwt", "jwk": d.dpop.jwk}, claims)
}

// Prompt is what the server's device steps say: the data of nextStep.
type Prompt struct {
	Challenge  string    `json:"challenge"`
	Audience   string    `json:"audience"`
	Flow       string    `json:"flow"`
	Step       string    `json:"step"`
	Algorithms []string  `json:"algorithms"` // of an enrolment
	ExpiresAt  time.Time `json:"expiresAt"`
	// Attestation says what the phone's maker is asked to vouch for; nil: nothing. This device has no maker.
	Attestation json.RawMessage `json:"attestation,omitempty"`
}

func (p Prompt) check(now time.Time) error {
	switch {
	case p.Challenge == "" || p.Audience == "" || p.Flow == "" || p.Step == "":
		return errors.New("app: the device prompt lacks challenge, audience, flow or step")
	case !now.Before(p.ExpiresAt):
		return fmt.Errorf("app: the device prompt expired at %s", p.ExpiresAt)
	}
	return nil
}

// Enrol makes a new key and signs the prompt with it (devbind+jwt). The key
// is used only after [Device.Confirm]; an enrolled key stays until then.
// [ErrBiometrics] if the owner is not there.
func (d *Device) Enrol(p Prompt) (string, error) {
	if err := p.check(d.cfg.Now()); err != nil {
		return "", err
	}
	key, err := newKey()
	if err != nil {
		return "", err
	}
	signed, err := d.sign(key, map[string]any{"typ": "devbind+jwt", "jwk": key.jwk}, d.binding(p))
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending = key
	return signed, nil
}

// Confirm takes the key of the last Enrol into use: the server has accepted it.
func (d *Device) Confirm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending != nil {
		d.enrolled, d.pending = d.pending, nil
	}
}

// Authenticate signs the prompt with the enrolled key (devauth+jwt) for that
// client. [ErrNotEnrolled] without one, [ErrBiometrics] if the owner is not there.
func (d *Device) Authenticate(p Prompt, clientID string) (string, error) {
	if err := p.check(d.cfg.Now()); err != nil {
		return "", err
	}
	d.mu.Lock()
	key := d.enrolled
	d.mu.Unlock()
	if key == nil {
		return "", ErrNotEnrolled
	}
	return d.sign(key, map[string]any{"typ": "devauth+jwt", "kid": key.thumbprint}, d.authentication(p, clientID, key))
}

// sign is the only way to a signature of a key behind the biometrics.
func (d *Device) sign(k *deviceKey, header map[string]any, claims jwt.MapClaims) (string, error) {
	if !d.cfg.Biometrics() {
		return "", ErrBiometrics
	}
	return k.sign(header, claims)
}
