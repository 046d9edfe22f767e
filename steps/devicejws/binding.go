package devicejws

// BindingType is the "typ" of a signature that binds a key.
const BindingType = "devbind+jwt"

type bindingHeader struct {
	Type      string `json:"typ"`
	Algorithm string `json:"alg"`
	Key       jwk    `json:"jwk"`
}

type bindingClaims struct {
	Audience   string `json:"aud"`
	Nonce      string `json:"nonce"`
	Flow       string `json:"flow"`
	Step       string `json:"step"`
	Thumbprint string `json:"jkt"`
	Issued     int64  `json:"iat"`
	Expires    int64  `json:"exp"`
}

// OpenBinding checks a signature that binds a new key, made with that key
// itself, on a run whose DPoP key has the given thumbprint. It returns the key.
func OpenBinding(compact, thumbprint string, want Want) (Key, error) {
	header, payload, err := split(compact)
	if err != nil {
		return Key{}, err
	}
	var h bindingHeader
	if err := decode(header, &h); err != nil {
		return Key{}, err
	}
	if h.Type != BindingType {
		return Key{}, WrongKind
	}
	if h.Algorithm != algorithm {
		return Key{}, WrongKind
	}
	key, err := h.Key.key()
	if err != nil {
		return Key{}, err
	}
	if err := verify(compact, key.public); err != nil {
		return Key{}, err
	}
	var c bindingClaims
	if err := decode(payload, &c); err != nil {
		return Key{}, err
	}
	if thumbprint == "" || c.Thumbprint != thumbprint {
		return Key{}, WrongContext
	}
	if key.ID() == thumbprint { // the key that signs every request proves nobody's presence
		return Key{}, WrongContext
	}
	if err := want.check(claims{c.Audience, c.Nonce, c.Flow, c.Step, c.Issued, c.Expires}); err != nil {
		return Key{}, err
	}
	return key, nil
}
