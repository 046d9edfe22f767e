package bank

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error codes of RFC 6750 section 3.1, RFC 9449 section 12.2 and RFC 9470 section 3.
const (
	codeRequest      = "invalid_request"
	codeToken        = "invalid_token"
	codeProof        = "invalid_dpop_proof"
	codeInsufficient = "insufficient_user_authentication"
)

const (
	bearer = "Bearer"
	dpop   = "DPoP"
)

// refusal is why a request does not get its resource.
type refusal struct {
	status int
	scheme string // that the request used; "" if it had no credentials
	code   string // "" likewise
	text   string // a fixed sentence
}

func badRequest(text string) *refusal {
	return &refusal{status: http.StatusBadRequest, scheme: bearer, code: codeRequest, text: text}
}

func badToken(scheme, text string) *refusal {
	return &refusal{status: http.StatusUnauthorized, scheme: scheme, code: codeToken, text: text}
}

func (b *Bank) refuse(w http.ResponseWriter, r Resource, why *refusal) {
	if why.status != http.StatusServiceUnavailable {
		for _, challenge := range b.challenges(r, why) {
			w.Header().Add("WWW-Authenticate", challenge)
		}
	}
	body := map[string]any{"status": why.status, "title": http.StatusText(why.status)}
	if why.code != "" {
		body["code"], body["detail"] = why.code, why.text
	}
	writeJSON(w, why.status, "application/problem+json", body)
}

// challenges are the lines of WWW-Authenticate. Who came without credentials
// is told both schemes and no error (RFC 6750 section 3.1).
func (b *Bank) challenges(r Resource, why *refusal) []string {
	realm := `realm="` + b.cfg.Realm + `"`
	if why.code == "" {
		return []string{bearer + " " + realm, dpop + " " + realm + `, algs="ES256"`}
	}
	params := []string{realm, fmt.Sprintf(`error="%s"`, why.code), fmt.Sprintf(`error_description="%s"`, why.text)}
	if why.code == codeInsufficient {
		// All that the resource asks for, so that one more authentication is enough.
		if len(r.ACRValues) > 0 {
			params = append(params, `acr_values="`+strings.Join(r.ACRValues, " ")+`"`)
		}
		if r.MaxAge > 0 {
			params = append(params, `max_age="`+strconv.FormatInt(int64(r.MaxAge/time.Second), 10)+`"`)
		}
	}
	if why.scheme == dpop {
		params = append(params, `algs="ES256"`)
	}
	return []string{why.scheme + " " + strings.Join(params, ", ")}
}
