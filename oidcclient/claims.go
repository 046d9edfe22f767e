package oidcclient

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
)

const maxSubject = 255 // OpenID Connect Core §2

// claims are the claims of an ID token or of UserInfo, by their exact names.
type claims map[string]any

func decode(raw []byte) (claims, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var c claims
	if err := d.Decode(&c); err != nil {
		return nil, refused("claims")
	}
	return c, nil
}

// expected is what the claims of an ID token are held against.
type expected struct {
	issuer, nonce       string
	clients             []string // one of them must be who it is for
	unasked             bool     // no nonce was asked for
	detached            bool     // what at_hash and c_hash are of is not known here
	now                 time.Time
	leeway, maxTokenAge time.Duration
	maxAge              *time.Duration
	acrValues           []string
	algorithm           string
	accessToken, code   string
}

func (p *Provider) expect(r Request, access, code string) expected {
	return expected{
		clients: []string{p.cfg.ClientID}, nonce: r.Nonce, now: p.cfg.Now(),
		leeway: p.cfg.Leeway, maxTokenAge: p.cfg.MaxTokenAge, maxAge: r.MaxAge, acrValues: r.ACRValues,
		accessToken: access, code: code,
	}
}

// check holds the claims against what is expected. That iss is right and exp has not passed was checked with the signature, by another parser:
// here they must be there under their exact names and be ours alone.
func (c claims) check(e expected) error {
	for _, check := range []func(expected) error{
		c.checkParties, c.checkTimes, c.checkNonce, c.checkHashes, c.checkAuthentication,
	} {
		if err := check(e); err != nil {
			return err
		}
	}
	return nil
}

func (c claims) checkParties(e expected) error {
	sub, _ := c["sub"].(string)
	if !isSubject(sub) {
		return refused("ID token: sub")
	}
	return c.checkIssue(e)
}

// checkIssue: who has issued it, and for whom.
func (c claims) checkIssue(e expected) error {
	if c["iss"] != any(e.issuer) {
		return refused("ID token: iss")
	}
	aud := c["aud"]
	if list, ok := aud.([]any); ok && len(list) == 1 { // nobody else is trusted
		aud = list[0]
	}
	if one, _ := aud.(string); one == "" || !slices.Contains(e.clients, one) {
		return refused("ID token: aud")
	}
	if azp, ok := c["azp"]; ok {
		if one, _ := azp.(string); one == "" || !slices.Contains(e.clients, one) {
			return refused("ID token: azp")
		}
	}
	return nil
}

// isSubject says whether that can be a sub (Core §2).
func isSubject(sub string) bool {
	return sub != "" && len(sub) <= maxSubject && !strings.ContainsFunc(sub, unicode.IsControl)
}

func (c claims) checkTimes(e expected) error {
	_, err := c.time("exp")
	if err != nil {
		return err
	}
	iat, err := c.time("iat")
	if err != nil {
		return err
	}
	if iat.After(e.now.Add(e.leeway)) {
		return refused("ID token: iat is in the future")
	}
	if iat.Before(e.now.Add(-e.maxTokenAge - e.leeway)) {
		return refused("ID token: iat is too old")
	}
	if _, ok := c["nbf"]; !ok {
		return nil
	}
	nbf, err := c.time("nbf")
	if err != nil {
		return err
	}
	if nbf.After(e.now.Add(e.leeway)) {
		return refused("ID token: nbf")
	}
	return nil
}

func (c claims) checkNonce(e expected) error {
	if e.unasked {
		return nil
	}
	nonce, _ := c["nonce"].(string)
	if e.nonce == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(e.nonce)) != 1 {
		return refused("ID token: nonce")
	}
	return nil
}

// checkHashes: in the code flow both hashes are optional (Core §3.1.3.6,
// §3.3.2.11); one that is there must be right.
func (c claims) checkHashes(e expected) error {
	if e.detached {
		return nil
	}
	for name, value := range map[string]string{"at_hash": e.accessToken, "c_hash": e.code} {
		if hash, ok := c[name]; ok && hash != any(leftHalf(e.algorithm, value)) {
			return refused("ID token: " + name)
		}
	}
	return nil
}

// leftHalf is the left half of the hash that belongs to a JWS algorithm.
func leftHalf(alg, value string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "384"):
		s := sha512.Sum384([]byte(value))
		sum = s[:]
	case strings.HasSuffix(alg, "512"), alg == "EdDSA": // the hash inside Ed25519
		s := sha512.Sum512([]byte(value))
		sum = s[:]
	default:
		s := sha256.Sum256([]byte(value))
		sum = s[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// checkAuthentication: what was asked for is checked in what came back.
func (c claims) checkAuthentication(e expected) error {
	if _, ok := c["auth_time"]; ok || e.maxAge != nil {
		at, err := c.time("auth_time")
		if err != nil {
			return err
		}
		if at.After(e.now.Add(e.leeway)) {
			return refused("ID token: auth_time is in the future")
		}
		if e.maxAge != nil && at.Before(e.now.Add(-*e.maxAge-e.leeway)) {
			return refused("ID token: auth_time is too old")
		}
	}
	acr, isText := c["acr"].(string)
	if _, ok := c["acr"]; ok && !isText {
		return refused("ID token: acr")
	}
	if e.acrValues != nil && !slices.Contains(e.acrValues, acr) {
		return refused("ID token: acr is none of those required")
	}
	return nil
}

// time reads a NumericDate (RFC 7519 §2) in whole seconds.
func (c claims) time(name string) (time.Time, error) {
	n, _ := c[name].(json.Number)
	seconds, err := n.Int64()
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, refused("ID token: " + name)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// texts reads a list of strings; one that is absent is empty.
func (c claims) texts(name string) ([]string, error) {
	value, ok := c[name]
	if !ok {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, refused("ID token: " + name)
	}
	texts := make([]string, len(list))
	for i, v := range list {
		if texts[i], ok = v.(string); !ok {
			return nil, refused("ID token: " + name)
		}
	}
	return texts, nil
}

// identity says who the claims, which were checked, are about.
func (c claims) identity() (Identity, error) {
	id := Identity{Claims: c}
	id.Issuer, _ = c["iss"].(string)
	id.Subject, _ = c["sub"].(string)
	id.ACR, _ = c["acr"].(string)
	id.Email, _ = c["email"].(string)
	id.EmailVerified = c["email_verified"] == any(true) && id.Email != "" // the word "true" is not enough
	var err error
	if id.AMR, err = c.texts("amr"); err != nil {
		return Identity{}, err
	}
	if _, ok := c["sid"]; ok {
		if id.SessionID, ok = c["sid"].(string); !ok || !isSubject(id.SessionID) {
			return Identity{}, refused("ID token: sid")
		}
	}
	if _, ok := c["auth_time"]; ok {
		id.AuthTime, err = c.time("auth_time")
	}
	return id, err
}
