package appattest

import (
	"encoding/binary"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
)

// authData is the authenticator data of Web Authentication §6.1, as Apple fills it in.
type authData struct {
	app     []byte // SHA-256 of TEAMID.BUNDLE
	flags   byte
	counter uint32
	rest    []byte
}

const (
	flagAttested   = 0x40
	flagExtensions = 0x80
)

func readAuthData(b []byte) (authData, error) {
	if len(b) < 37 {
		return authData{}, Malformed
	}
	return authData{b[:32], b[32], binary.BigEndian.Uint32(b[33:37]), b[37:]}, nil
}

// credential is the attested part of the data.
type credential struct {
	aaguid, id []byte
	x, y       []byte
}

func (a authData) credential() (c credential, err error) {
	if a.flags&flagAttested == 0 || len(a.rest) < 18 {
		return c, Malformed
	}
	n := int(binary.BigEndian.Uint16(a.rest[16:18]))
	if len(a.rest) < 18+n {
		return c, Malformed
	}
	c.aaguid, c.id = a.rest[:16], a.rest[18:18+n]
	var key map[int]webauthncbor.RawMessage
	rest := a.rest[18+n:]
	used, err := webauthncbor.UnmarshalFirst(rest, &key)
	if err != nil || len(key) != 5 {
		return c, Malformed
	}
	for label, want := range map[int]int{1: 2, 3: -7, -1: 1} { // EC2, ES256, P-256: RFC 9053 §2.1, §7.1.1
		var got int
		if webauthncbor.Unmarshal(key[label], &got) != nil || got != want {
			return c, WrongKey
		}
	}
	if webauthncbor.Unmarshal(key[-2], &c.x) != nil || webauthncbor.Unmarshal(key[-3], &c.y) != nil {
		return c, Malformed
	}
	return c, authData{flags: a.flags, rest: rest[used:]}.ends()
}

// ends checks what follows: nothing or, since iOS 27, one map of extensions,
// which say how the app was started. They may say anything, and are signed.
func (a authData) ends() error {
	if a.flags&flagExtensions == 0 {
		if len(a.rest) > 0 {
			return Malformed
		}
		return nil
	}
	var extensions map[string]webauthncbor.RawMessage
	if webauthncbor.Unmarshal(a.rest, &extensions) != nil {
		return Malformed
	}
	return nil
}

// members reads a CBOR map of n members; whoever reads one that is not there is
// refused. Fields of a struct would be found by names that are spelled a little differently.
func members(data []byte, n int) (map[string]webauthncbor.RawMessage, error) {
	var out map[string]webauthncbor.RawMessage
	if webauthncbor.Unmarshal(data, &out) != nil || len(out) != n {
		return nil, Malformed
	}
	return out, nil
}

// octets reads a byte string; an array of numbers would pass for one.
func octets(data []byte) ([]byte, error) {
	var out []byte
	if len(data) == 0 || data[0]>>5 != 2 || webauthncbor.Unmarshal(data, &out) != nil {
		return nil, Malformed
	}
	return out, nil
}

// What Apple writes where others write the model of an authenticator.
const (
	production  = "appattest\x00\x00\x00\x00\x00\x00\x00"
	development = "appattestdevelop"
)

func (v *Verifier) environment(aaguid []byte) error {
	if string(aaguid) == production || v.InsecureDevelopment && string(aaguid) == development {
		return nil
	}
	return WrongEnvironment
}
