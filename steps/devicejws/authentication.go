package devicejws

// AuthenticationType is the "typ" of a signature that authenticates.
const AuthenticationType = "devauth+jwt"

type authenticationHeader struct {
	Type      string `json:"typ"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

type authenticationClaims struct {
	Audience string `json:"aud"`
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Flow     string `json:"flow"`
	Step     string `json:"step"`
	Nonce    string `json:"nonce"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`

	Transaction *string `json:"txn,omitempty"` // a pointer: "" is not the same as none
}

// Authentication is a signature that has the right form and is not yet verified.
type Authentication struct {
	compact string
	payload []byte
	keyID   string
}

// ParseAuthentication checks the form, the type and the algorithm.
func ParseAuthentication(compact string) (Authentication, error) {
	header, payload, err := split(compact)
	if err != nil {
		return Authentication{}, err
	}
	var h authenticationHeader
	if err := decode(header, &h); err != nil {
		return Authentication{}, err
	}
	if h.Type != AuthenticationType {
		return Authentication{}, WrongKind
	}
	if h.Algorithm != algorithm {
		return Authentication{}, WrongKind
	}
	return Authentication{compact, payload, h.KeyID}, nil
}

// ClaimedKeyID returns the "kid" by which to look the key up. It proves nothing.
func (a Authentication) ClaimedKeyID() string { return a.keyID }

// Verify checks that key made the signature, for that client and for want. The
// key must be the one that was looked up: its own id is not compared with "kid",
// so that a decoy costs the same.
func (a Authentication) Verify(key Key, client string, want Want) error {
	if key.public == nil {
		return WrongKey
	}
	if err := verify(a.compact, key.public); err != nil {
		return err
	}
	var c authenticationClaims
	if err := decode(a.payload, &c); err != nil {
		return err
	}
	if client == "" || c.Issuer != client {
		return WrongContext
	}
	if a.keyID == "" || c.Subject != a.keyID {
		return WrongContext
	}
	if err := want.checkTransaction(c.Transaction); err != nil {
		return err
	}
	return want.check(claims{c.Audience, c.Nonce, c.Flow, c.Step, c.Issued, c.Expires})
}
