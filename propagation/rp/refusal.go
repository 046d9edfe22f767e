package rp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Schemes that tokens are presented in.
const (
	schemeBearer = "Bearer" // RFC 6750
	schemeDPoP   = "DPoP"   // RFC 9449 §7.1
)

// Error codes of RFC 6750 §3.1, RFC 9449 §12.2 and RFC 9470 §3, and what there
// is no registered one for.
const (
	codeRequest      = "invalid_request"
	codeToken        = "invalid_token"
	codeProof        = "invalid_dpop_proof"
	codeScope        = "insufficient_scope"
	codeInsufficient = "insufficient_user_authentication"
	codeUnavailable  = "temporarily_unavailable"
	codeAPIKey       = "invalid_api_key"
)

// Refusal is why a request does not get its resource, and how that is answered.
type Refusal struct {
	Status     int      // 400, 401, 403 or 503
	Code       string   // "" if the request had no credentials
	Detail     string   // a fixed sentence
	Challenges []string // lines of WWW-Authenticate

	scheme string // that the request used
}

// Error is for logs.
func (r *Refusal) Error() string { return fmt.Sprintf("rp: %d %s %s", r.Status, r.Code, r.Detail) }

func malformed(detail string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: codeRequest, Detail: detail, scheme: schemeBearer}
}

// refusalOf says how an error of the verification is answered.
func refusalOf(scheme string, err error) *Refusal {
	switch {
	case errors.Is(err, errProof):
		return &Refusal{Status: http.StatusUnauthorized, Code: codeProof, Detail: "The DPoP proof is not valid.", scheme: schemeDPoP}
	case errors.Is(err, errToken):
		return &Refusal{Status: http.StatusUnauthorized, Code: codeToken, Detail: "The token is not valid.", scheme: scheme}
	}
	return &Refusal{Status: http.StatusServiceUnavailable, Code: codeUnavailable, Detail: "Tokens cannot be verified now."}
}

// refuse adds the challenges. What the resource asks for is told only to those
// whose token is good (RFC 9470 §3): all of it, so that one more authentication
// is enough.
func (g *Guard) refuse(r *Refusal, rule Rule) *Refusal {
	realm := `realm="` + g.cfg.Realm + `"`
	algorithms := `algs="ES256 EdDSA PS256"` // of proofs: the default of package dpop
	switch {
	case r.Status == http.StatusServiceUnavailable:
		return r
	case r.Code == "": // RFC 6750 §3.1: no error for who came without credentials
		r.Challenges = []string{schemeBearer + " " + realm}
		if g.cfg.Origin != "" {
			r.Challenges = append(r.Challenges, schemeDPoP+" "+realm+", "+algorithms)
		}
		return r
	}
	params := []string{realm, `error="` + r.Code + `"`, `error_description="` + r.Detail + `"`}
	if r.Code == codeInsufficient && len(rule.ACR) > 0 {
		params = append(params, `acr_values="`+strings.Join(rule.ACR, " ")+`"`)
	}
	if r.Code == codeInsufficient && rule.MaxAge > 0 {
		params = append(params, `max_age="`+strconv.FormatInt(int64(rule.MaxAge/time.Second), 10)+`"`)
	}
	if r.Code == codeScope && len(rule.Scopes) > 0 {
		params = append(params, `scope="`+strings.Join(rule.Scopes, " ")+`"`)
	}
	if r.scheme == schemeDPoP {
		params = append(params, algorithms)
	}
	r.Challenges = []string{r.scheme + " " + strings.Join(params, ", ")}
	return r
}

// Refuse answers a request as a *[Refusal] says: a problem document (RFC 9457)
// with the stable member "code". Any other error is answered 503: who guards and
// does not know lets nobody in.
func Refuse(w http.ResponseWriter, err error) {
	var r *Refusal
	if !errors.As(err, &r) {
		r = refusalOf("", err)
	}
	h := w.Header()
	for _, challenge := range r.Challenges {
		h.Add("WWW-Authenticate", challenge)
	}
	if r.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	body := map[string]any{"status": r.Status, "title": http.StatusText(r.Status)}
	if r.Code != "" {
		body["code"], body["detail"] = r.Code, r.Detail
	}
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away gets no answer
}
