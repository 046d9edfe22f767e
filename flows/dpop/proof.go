package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// proof is a proof whose signature is good and whose claims are all there.
type proof struct {
	thumbprint string
	id         string // jti
	method     string // htm
	uri        string // htu, not yet normalised
	token      string // ath, "" if absent
	nonce      string // "" if absent
	issued     time.Time
}

// parse reads a compact JWS and verifies its signature with the key in its
// header: RFC 9449 §4.3 checks 2 to 7.
func parse(compact string, algorithms []string) (proof, error) {
	if len(compact) > maxProof {
		return proof{}, refuse("longer than %d bytes", maxProof)
	}
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return proof{}, refuse("not a compact JWS")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = decodeBase64(part); err != nil {
			return proof{}, err
		}
	}
	header, err := object(decoded[0])
	if err != nil {
		return proof{}, err
	}
	thumbprint, err := verify(header, algorithms, parts[0]+"."+parts[1], decoded[2])
	if err != nil {
		return proof{}, err
	}
	claims, err := object(decoded[1])
	if err != nil {
		return proof{}, err
	}
	return read(claims, thumbprint)
}

// decodeBase64 takes the one canonical spelling only. The alphabet is checked
// first because the decoder skips line breaks.
func decodeBase64(s string) ([]byte, error) {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return nil, refuse("not base64url")
		}
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, refuse("not base64url")
	}
	return b, nil
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// verify checks type, algorithm, key and signature and returns the thumbprint of the key.
func verify(header members, algorithms []string, signed string, signature []byte) (string, error) {
	if typ, err := header.text("typ"); err != nil || typ != "dpop+jwt" {
		return "", refuse("typ is not dpop+jwt")
	}
	if _, present := header["crit"]; present { // no extension is understood: RFC 7515 §4.1.11
		return "", refuse("crit")
	}
	name, err := header.text("alg")
	if err != nil || !slices.Contains(algorithms, name) {
		return "", refuse("alg not accepted")
	}
	alg, err := algorithmOf(name)
	if err != nil {
		return "", err
	}
	key, thumbprint, err := alg.key(header["jwk"])
	if err != nil {
		return "", err
	}
	if err := alg.method.Verify(signed, signature, key); err != nil {
		return "", refuse("signature: %v", err)
	}
	return thumbprint, nil
}

// read takes the claims of RFC 9449 §4.2; an absent one is a failed check.
func read(claims members, thumbprint string) (proof, error) {
	p := proof{thumbprint: thumbprint}
	var err error
	if p.id, err = claims.text("jti"); err != nil {
		return proof{}, err
	}
	if len(p.id) > maxID {
		return proof{}, refuse("jti longer than %d bytes", maxID)
	}
	if p.method, err = claims.text("htm"); err != nil {
		return proof{}, err
	}
	if p.uri, err = claims.text("htu"); err != nil {
		return proof{}, err
	}
	if p.issued, err = claims.instant("iat"); err != nil {
		return proof{}, err
	}
	if _, present := claims["ath"]; present {
		if p.token, err = claims.text("ath"); err != nil {
			return proof{}, err
		}
	}
	if raw, present := claims["nonce"]; present && string(raw) != `""` {
		if p.nonce, err = claims.text("nonce"); err != nil {
			return proof{}, err
		}
	}
	return p, nil
}

// matchesRequest is §4.3 checks 8 and 9.
func (p proof) matchesRequest(method, url string) error {
	if p.method != method {
		return refuse("htm is another method")
	}
	want, err := normalise(url)
	if err != nil {
		return fmt.Errorf("dpop: URL of the request: %w", err)
	}
	got, err := normalise(p.uri)
	if err != nil {
		return refuse("htu: %v", err)
	}
	if got != want {
		return refuse("htu is another URL")
	}
	return nil
}

// matchesToken is the first half of §4.3 check 12.
func (p proof) matchesToken(accessToken string) error {
	sum := sha256.Sum256([]byte(accessToken))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(p.token), []byte(want)) != 1 {
		return refuse("ath is of another token")
	}
	return nil
}
