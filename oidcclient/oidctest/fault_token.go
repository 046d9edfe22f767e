package oidctest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SetClaim puts a claim of any shape into ID tokens.
func SetClaim(name string, value any) Fault {
	return Fault{Claims: func(claims map[string]any) { claims[name] = value }}
}

// DropClaims leaves claims out of ID tokens.
func DropClaims(names ...string) Fault {
	return Fault{Claims: func(claims map[string]any) {
		for _, name := range names {
			delete(claims, name)
		}
	}}
}

// ShiftTimes moves exp, iat and auth_time of ID tokens: by -time.Hour they
// have expired, by time.Hour they were issued in the future.
func ShiftTimes(by time.Duration) Fault {
	return Fault{Claims: func(claims map[string]any) {
		for _, name := range []string{"exp", "iat", "auth_time"} {
			if seconds, ok := claims[name].(int64); ok {
				claims[name] = seconds + int64(by/time.Second)
			}
		}
	}}
}

// Audiences replaces the audience of ID tokens by several: the right one first
// and then others. With an azp that is not "" it sets that too.
func Audiences(azp string, others ...string) Fault {
	return Fault{Claims: func(claims map[string]any) {
		all := []any{claims["aud"]}
		for _, other := range others {
			all = append(all, other)
		}
		claims["aud"] = all
		if azp != "" {
			claims["azp"] = azp
		}
	}}
}

// WrongATHash makes at_hash that of another access token.
func WrongATHash() Fault {
	other := sha256.Sum256([]byte("another access token"))
	return SetClaim("at_hash", base64.RawURLEncoding.EncodeToString(other[:16]))
}

// DuplicateClaim writes a claim a second time, after all others, where most
// parsers let it win.
func DuplicateClaim(name string, value any) Fault {
	return Fault{Raw: func(header, claims []byte) ([]byte, []byte) {
		return header, appendMember(claims, name, value)
	}}
}

// DuplicateHeader does the same in the JOSE header.
func DuplicateHeader(name string, value any) Fault {
	return Fault{Raw: func(header, claims []byte) ([]byte, []byte) {
		return appendMember(header, name, value), claims
	}}
}

// appendMember adds a member to the text of a JSON object that has others.
func appendMember(object []byte, name string, value any) []byte {
	member, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		panic(fmt.Sprintf("oidctest: the value of %q is no JSON: %v", name, err))
	}
	body := bytes.TrimSuffix(bytes.TrimSpace(object), []byte("}"))
	return slices.Concat(body, []byte(","), member[1:])
}

// SetHeader puts a parameter into the JOSE header of ID tokens, for example
// crit or typ. It does not change how they are signed.
func SetHeader(name string, value any) Fault {
	return Fault{Header: func(header map[string]any) { header[name] = value }}
}

// DropHeader leaves a parameter out of the JOSE header.
func DropHeader(name string) Fault {
	return Fault{Header: func(header map[string]any) { delete(header, name) }}
}

// SignedBy signs ID tokens with another key, which is not published. The
// header names that key, or with keepID still the published one.
func SignedBy(key Key, keepID bool) Fault {
	return Fault{
		Header: func(header map[string]any) {
			header["alg"] = key.Alg
			if !keepID {
				header["kid"] = key.ID
			}
		},
		Sign: func(input string, _ Key) ([]byte, error) { return key.Sign(input) },
	}
}

// EmbeddedKey signs ID tokens with another key and puts its public part into
// the header, where a verifier must not look for it.
func EmbeddedKey(key Key) Fault {
	f := SignedBy(key, false)
	rest := f.Header
	f.Header = func(header map[string]any) {
		rest(header)
		jwk, err := key.JWK()
		if err != nil {
			panic(fmt.Sprintf("oidctest: key %s: %v", key.ID, err))
		}
		header["jwk"] = jwk
	}
	return f
}

// AlgNone declares ID tokens unsecured, in the given spelling of "none", and
// leaves the signature empty.
func AlgNone(spelling string) Fault {
	return Fault{
		Header: func(header map[string]any) { header["alg"] = spelling },
		Sign:   func(string, Key) ([]byte, error) { return nil, nil },
	}
}

// HMACWithPublicKey signs ID tokens with HS256, where the secret is the
// published key: what secret makes of it, usually Key.PEM or Key.JWK.
func HMACWithPublicKey(secret func(Key) ([]byte, error)) Fault {
	return Fault{
		Header: func(header map[string]any) { header["alg"] = "HS256" },
		Sign: func(input string, key Key) ([]byte, error) {
			s, err := secret(key)
			if err != nil {
				return nil, err
			}
			mac := hmac.New(sha256.New, s)
			_, _ = mac.Write([]byte(input)) // a hash never fails to write
			return mac.Sum(nil), nil
		},
	}
}

// StripSignature removes the signature from ID tokens; the header still
// promises one.
func StripSignature() Fault {
	return Fault{Compact: func(token string) string { return token[:strings.LastIndexByte(token, '.')+1] }}
}

// BreakSignature changes one bit of the signature.
func BreakSignature() Fault {
	return Fault{Compact: func(token string) string {
		cut := strings.LastIndexByte(token, '.') + 1
		signature, err := base64.RawURLEncoding.DecodeString(token[cut:])
		if err != nil || len(signature) == 0 {
			return token
		}
		signature[0] ^= 1
		return token[:cut] + base64.RawURLEncoding.EncodeToString(signature)
	}}
}
