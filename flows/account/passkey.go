package account

// TypePasskey is the type of WebAuthn credentials.
const TypePasskey = "passkey"

// PasskeyData is the data of a [TypePasskey] authenticator: a WebAuthn credential
// record (Web Authentication §4). The authenticator's id is a hash of Credential.
type PasskeyData struct {
	Credential     []byte   `json:"credential"` // its id
	Key            []byte   `json:"key"`        // public key, COSE_Key
	Algorithm      int      `json:"algorithm"`  // COSE
	Model          string   `json:"model"`      // AAGUID
	Transports     []string `json:"transports,omitempty"`
	Counter        uint32   `json:"counter"`        // of the last signature
	BackupEligible bool     `json:"backupEligible"` // the key can leave the authenticator; never changes
	BackedUp       bool     `json:"backedUp"`
	Attested       bool     `json:"attested"` // its maker vouched for the authenticator
	Hardware       bool     `json:"hardware"` // and for that keys stay in it
	Owner          string   `json:"owner"`    // who made or used it last: the same request may come again
}
