// Package webauthntest is a WebAuthn authenticator in software, with the browser
// around it, for tests and scenarios. It shares no code with the verifier: CBOR,
// keys and signatures are its own.
//
// Tests that attack change what is about to be signed: see [Draft].
package webauthntest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// The flags of authenticator data (Web Authentication §6.1).
const (
	Present  byte = 1 << 0
	Verified byte = 1 << 2
	Eligible byte = 1 << 3 // for backup
	BackedUp byte = 1 << 4
	attested byte = 1 << 6
)

// ErrNoCredential reports that the authenticator has no credential that may answer.
var ErrNoCredential = errors.New("webauthntest: no credential that may answer")

// Authenticator holds credentials. Its fields are what it does unless told
// otherwise. It is not safe for concurrent use.
type Authenticator struct {
	Origin    string // where the browser is, or which app asks
	Flags     byte   // default: Present and Verified
	Counts    bool   // whether it has a signature counter; else it always says 0
	Algorithm int    // the one that it makes keys of; 0: the first that is asked for and that it knows
	Model     [16]byte
	Maker     *Maker // vouches for it; nil: nobody does

	credentials []*credential
}

type credential struct {
	id, handle []byte
	party      string
	key        key
	counter    uint32
}

// New returns an authenticator that verifies people, behind a browser at that origin.
func New(origin string) *Authenticator {
	return &Authenticator{Origin: origin, Flags: Present | Verified}
}

// Draft is what an authenticator and a browser are about to say. What is changed
// is signed as it then stands.
type Draft struct {
	Client    map[string]any // clientDataJSON
	Party     string         // rpIdHash is made of it
	Flags     byte
	Counter   uint32
	ID        []byte // rawId
	Handle    []byte // of an assertion; nil: none
	Format    string // of an attestation
	Statement []byte // of an attestation, CBOR; nil: the format's own
	Made      []byte // of a creation: the id in the authenticator data
	Resident  *bool  // of a creation: credProps.rk
	Damage    bool   // the signature is not of these data
}

type creationOptions struct {
	RP         struct{ ID string }
	User       struct{ ID string }
	Challenge  string
	Parameters []struct{ Alg int }   `json:"pubKeyCredParams"`
	Exclude    []struct{ ID string } `json:"excludeCredentials"`
}

type requestOptions struct {
	RPID      string `json:"rpId"`
	Challenge string
	Allow     []struct{ ID string } `json:"allowCredentials"`
}

var b64 = base64.RawURLEncoding //nolint:gochecknoglobals // an encoding

// Create makes a credential: PublicKeyCredentialCreationOptionsJSON in,
// RegistrationResponseJSON out. One that is excluded is an error, as in a browser.
func (a *Authenticator) Create(options []byte, change ...func(*Draft)) (json.RawMessage, error) {
	var o creationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("webauthntest: options: %w", err)
	}
	for _, x := range o.Exclude {
		if slices.ContainsFunc(a.credentials, func(c *credential) bool { return b64.EncodeToString(c.id) == x.ID }) {
			return nil, errors.New("webauthntest: InvalidStateError: there is one already")
		}
	}
	handle, err := b64.DecodeString(o.User.ID)
	if err != nil {
		return nil, fmt.Errorf("webauthntest: user.id: %w", err)
	}
	alg := a.Algorithm
	for _, p := range o.Parameters {
		if alg == 0 && slices.Contains([]int{ES256, EdDSA, RS256}, p.Alg) {
			alg = p.Alg
		}
	}
	k, err := newKey(alg)
	if err != nil {
		return nil, err
	}
	c := &credential{id: random(32), handle: handle, party: o.RP.ID, key: k}
	rk := true
	d := a.draft("webauthn.create", o.Challenge, c)
	d.Made, d.Resident, d.Format = c.id, &rk, "none"
	if a.Maker != nil {
		d.Format = "packed"
	}
	for _, f := range change {
		f(&d)
	}
	c.id = d.Made
	a.credentials = append(a.credentials, c)
	return a.registration(c, d)
}

func (a *Authenticator) registration(c *credential, d Draft) (json.RawMessage, error) {
	client, err := json.Marshal(d.Client)
	if err != nil {
		return nil, err
	}
	data := d.data(attested)
	data = binary.BigEndian.AppendUint16(append(data, a.Model[:]...), uint16(len(d.Made))) //nolint:gosec // no test makes one of 64 KiB
	data = append(append(data, d.Made...), c.key.cose...)
	statement := d.Statement
	if statement == nil {
		if statement, err = a.statement(c, d, data, client); err != nil {
			return nil, err
		}
	}
	object := dict(text("fmt"), text(d.Format), text("attStmt"), statement, text("authData"), octets(data))
	return json.Marshal(map[string]any{
		"id": b64.EncodeToString(d.ID), "rawId": b64.EncodeToString(d.ID), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{"credProps": map[string]any{"rk": d.Resident}},
		"response": map[string]any{
			"clientDataJSON": b64.EncodeToString(client), "attestationObject": b64.EncodeToString(object),
			"authenticatorData": b64.EncodeToString(data), "transports": []string{"internal", "hybrid"}, "publicKeyAlgorithm": c.key.alg,
		},
	})
}

// Get makes an assertion: PublicKeyCredentialRequestOptionsJSON in,
// AuthenticationResponseJSON out. [ErrNoCredential] if none may answer.
func (a *Authenticator) Get(options []byte, change ...func(*Draft)) (json.RawMessage, error) {
	var o requestOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("webauthntest: options: %w", err)
	}
	c := a.find(o)
	if c == nil {
		return nil, ErrNoCredential
	}
	d := a.draft("webauthn.get", o.Challenge, c)
	d.Handle = c.handle
	for _, f := range change {
		f(&d)
	}
	return a.assertion(c, d)
}

// Answer is Get, whatever credentials are allowed: what an attacker's authenticator does.
func (a *Authenticator) Answer(options []byte, change ...func(*Draft)) (json.RawMessage, error) {
	var open map[string]any
	if err := json.Unmarshal(options, &open); err != nil {
		return nil, fmt.Errorf("webauthntest: options: %w", err)
	}
	delete(open, "allowCredentials")
	options, err := json.Marshal(open)
	if err != nil {
		return nil, err
	}
	return a.Get(options, change...)
}

func (a *Authenticator) assertion(c *credential, d Draft) (json.RawMessage, error) {
	client, err := json.Marshal(d.Client)
	if err != nil {
		return nil, err
	}
	data := d.data(0)
	sum := sha256.Sum256(client)
	signed := slices.Concat(data, sum[:])
	if d.Damage {
		signed = append(signed, 0)
	}
	signature, err := c.key.sign(signed)
	if err != nil {
		return nil, err
	}
	response := map[string]any{
		"clientDataJSON": b64.EncodeToString(client), "authenticatorData": b64.EncodeToString(data), "signature": b64.EncodeToString(signature),
	}
	if d.Handle != nil {
		response["userHandle"] = b64.EncodeToString(d.Handle)
	}
	return json.Marshal(map[string]any{
		"id": b64.EncodeToString(d.ID), "rawId": b64.EncodeToString(d.ID), "type": "public-key",
		"clientExtensionResults": map[string]any{}, "response": response,
	})
}

// find returns the newest credential of the party that is allowed.
func (a *Authenticator) find(o requestOptions) *credential {
	for _, c := range slices.Backward(a.credentials) {
		allowed := len(o.Allow) == 0
		for _, x := range o.Allow {
			allowed = allowed || x.ID == b64.EncodeToString(c.id)
		}
		if allowed && c.party == o.RPID {
			return c
		}
	}
	return nil
}

func (a *Authenticator) draft(ceremony, challenge string, c *credential) Draft {
	if a.Counts {
		c.counter++
	}
	return Draft{
		Client: map[string]any{"type": ceremony, "challenge": challenge, "origin": a.Origin, "crossOrigin": false},
		Party:  c.party, Flags: a.Flags, Counter: c.counter, ID: c.id,
	}
}

// data is authenticator data without attested credential data (§6.1).
func (d Draft) data(more byte) []byte {
	party := sha256.Sum256([]byte(d.Party))
	return binary.BigEndian.AppendUint32(append(party[:], d.Flags|more), d.Counter)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
