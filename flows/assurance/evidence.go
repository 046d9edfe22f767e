// Package assurance turns what was proved into what may be said about it.
//
// A completed step leaves [Evidence]. From a set of evidence, pure functions
// compute the RFC 8176 "amr" values, the level on the built-in NIST SP 800-63B-4
// scale ("acr") and the authentication time. Nothing else writes those three.
//
// The package is a leaf: no I/O, no clock, no other package of this module.
package assurance

import "time"

// Category is a factor category (NIST SP 800-63B-4 §2): something known, held, or inherent.
type Category string

// The three factor categories.
const (
	Knowledge  Category = "knowledge"
	Possession Category = "possession"
	Inherence  Category = "inherence"
)

// Method names how a proof was made. It is our own word, never a token's:
// "amr" is computed from it and from the other axes by [Assess].
type Method string

// The methods that steps can prove.
const (
	Password    Method = "password"    // memorised secret verified here
	PIN         Method = "pin"         // short memorised secret verified here: a password to NIST and to RFC 8176
	TOTP        Method = "totp"        // RFC 6238 code
	HOTP        Method = "hotp"        // RFC 4226 code
	SMS         Method = "sms"         // code sent over the telephone network as text
	Voice       Method = "voice"       // code told in a telephone call
	Email       Method = "email"       // code or link sent by mail: proves an address, no factor (SP 800-63B-4 §3.1.3.1)
	Recovery    Method = "recovery"    // look-up secret that was handed out to be kept
	Activation  Method = "activation"  // code that an administrator issued to get in for the first time
	DeviceKey   Method = "device_key"  // signature by a key that a bound device holds
	Passkey     Method = "passkey"     // WebAuthn assertion
	Certificate Method = "certificate" // TLS client certificate
	Push        Method = "push"        // approval on another enrolled device
	Federated   Method = "federated"   // a remote provider vouches
	Risk        Method = "risk"        // signals were judged: no factor
	Location    Method = "location"    // the place was judged: no factor
)

// Unlock says how the person unlocked the key that signed, where attestation tells.
type Unlock string

// What unlocks a key on the device.
const (
	UnlockPIN       Unlock = "pin"
	UnlockBiometric Unlock = "biometric"
)

// Evidence is what one completed step proved. It is immutable once recorded
// and safe to serialise; times are UTC.
type Evidence struct {
	Step     string `json:"step"`     // id of the step in its flow
	StepType string `json:"stepType"` // name of the step type
	Config   string `json:"config"`   // hash of the step's configuration; with StepType it says whether another flow's step is the same

	Method        Method     `json:"method"`
	Authenticator string     `json:"authenticator"`    // id of the bound authenticator, or "issuer subject" of a federated identity
	Device        string     `json:"device,omitempty"` // physical device that holds it, if known: two of one device are one possession
	At            time.Time  `json:"at"`
	Expires       time.Time  `json:"expires,omitzero"` // zero: only policies age it
	Categories    []Category `json:"categories"`

	PhishingResistant bool `json:"phishingResistant,omitempty"`
	ReplayResistant   bool `json:"replayResistant,omitempty"`
	HardwareBound     bool `json:"hardwareBound,omitempty"` // key protection proved by attestation
	SoftwareBound     bool `json:"softwareBound,omitempty"` // software key proved by attestation
	Exportable        bool `json:"exportable,omitempty"`
	Attested          bool `json:"attested,omitempty"`
	UserPresent       bool `json:"userPresent,omitempty"`  // the person interacted for this proof
	UserVerified      bool `json:"userVerified,omitempty"` // attested user verification, never a client's claim
	Restricted        bool `json:"restricted,omitempty"`   // PSTN (SP 800-63B-4 §3.2.9)

	LowEntropy bool   `json:"lowEntropy,omitempty"` // a secret too short to earn a category credit (server-verified PIN under eight digits)
	Unlock     Unlock `json:"unlock,omitempty"`     // what unlocked the key; "" if nothing tells
	Channel    string `json:"channel,omitempty"`    // what carried the proof, if it was not the app's own connection: "telephone", "mail", "push"

	Mapped []string `json:"mapped,omitempty"` // of Federated: the amr values that this provider's configuration grants

	Binding Level `json:"binding"` // level at which the authenticator was bound: caps it for ever
	Cap     Level `json:"cap"`     // most that the verifier is trusted for (provider mapping); AAL3 when verified here

	Upstream *Upstream `json:"upstream,omitempty"` // what a remote provider said, kept apart, never copied into our claims
}

// Upstream is the raw statement of a remote provider: for audit, and so that what rests
// on a sign-on there ends with it. No level comes of it.
type Upstream struct {
	Provider string    `json:"provider,omitempty"` // its name in the definitions
	Session  string    `json:"session,omitempty"`  // digest of the session's name there (sid), "" if it said none
	Began    time.Time `json:"began,omitzero"`     // when it was asked for the sign-on, or made the token that says so

	Issuer   string    `json:"issuer"`
	Subject  string    `json:"subject"`
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
	AuthTime time.Time `json:"authTime,omitzero"`
}
