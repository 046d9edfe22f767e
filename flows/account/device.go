package account

import "encoding/json"

// DeviceData is the data of a [TypeDevice] and of a [TypeDevicePIN] authenticator:
// a key that a device holds.
type DeviceData struct {
	JWK       json.RawMessage `json:"jwk"`                 // public key, RFC 7517
	Attested  bool            `json:"attested"`            // the device's maker vouched for what follows; without that it is empty
	Platform  string          `json:"platform,omitempty"`  // PlatformAndroid or PlatformIOS
	Storage   string          `json:"storage,omitempty"`   // where the key is kept: tee, strongbox, secure_enclave, or software on an emulator
	Biometric bool            `json:"biometric,omitempty"` // it opens to the person's biometrics and to nothing else
	App       string          `json:"app,omitempty"`       // that the key belongs to: the package, or TEAMID.BUNDLE
	AppAttest *AppAttestData  `json:"appAttest,omitempty"` // what each signature has to come with
}

// What devices are.
const (
	PlatformAndroid = "android"
	PlatformIOS     = "ios"
	// StorageSoftware is where the keys of emulators are.
	StorageSoftware = "software"
	// StorageSecureEnclave is where iPhones keep keys.
	StorageSecureEnclave = "secure_enclave"
)

// AppAttestData is a key of Apple App Attest.
type AppAttestData struct {
	Key     []byte `json:"key"`     // SEC 1 §2.3.3, uncompressed
	Counter uint32 `json:"counter"` // of the last assertion
	Owner   string `json:"owner"`   // who made it: the same request may come again
}
