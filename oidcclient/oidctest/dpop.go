package oidctest

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	proofAge  = time.Minute
	proofSkew = 5 * time.Second
)

// proved is whose key signed the DPoP proof of a request (RFC 9449 section 4.3), ""
// if there is none and none is wanted. The access token is that of the request, if it carries one.
func (p *Provider) proved(w http.ResponseWriter, r *http.Request, endpoint, access string) (string, *oauthError) {
	headers := r.Header.Values("DPoP")
	if len(headers) == 0 && !p.cfg.DPoP {
		return "", nil
	}
	if len(headers) != 1 {
		return "", &oauthError{code: "invalid_dpop_proof", description: "there is not one DPoP proof"}
	}
	claims := jwt.MapClaims{}
	var key jose.JSONWebKey
	token, err := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation()).ParseWithClaims(headers[0], claims,
		func(t *jwt.Token) (any, error) {
			raw, err := json.Marshal(t.Header["jwk"])
			if err != nil {
				return nil, err
			}
			if err := key.UnmarshalJSON(raw); err != nil {
				return nil, err
			}
			if !key.IsPublic() {
				return nil, fmt.Errorf("oidctest: the key is not public")
			}
			return key.Key, nil
		})
	if err != nil || token.Header["typ"] != "dpop+jwt" || !p.describes(claims, r.Method, endpoint, access) {
		return "", &oauthError{code: "invalid_dpop_proof", description: "the DPoP proof is not for this request"}
	}
	if p.cfg.DPoPNonce && claims["nonce"] != any(p.nonce(endpoint)) {
		w.Header().Set("DPoP-Nonce", p.nonce(endpoint))
		return "", &oauthError{code: "use_dpop_nonce", description: "a nonce is wanted in the DPoP proof"}
	}
	if id, _ := claims["jti"].(string); id == "" || !p.state.takeOnce("proof "+id) {
		return "", &oauthError{code: "invalid_dpop_proof", description: "the DPoP proof was used before"}
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", &oauthError{code: "invalid_dpop_proof", description: "the key has no thumbprint"}
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// describes says whether a proof is about that request, now.
func (p *Provider) describes(claims jwt.MapClaims, method, endpoint, access string) bool {
	issued, err := claims.GetIssuedAt()
	if err != nil || issued == nil {
		return false
	}
	age := p.cfg.Now().Sub(issued.Time)
	hash := ""
	if access != "" {
		sum := sha256.Sum256([]byte(access))
		hash = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	said, _ := claims["ath"].(string)
	return claims["htm"] == any(method) && claims["htu"] == any(p.address(endpoint)) && age <= proofAge && age >= -proofSkew && said == hash
}

// nonce is what proofs at an endpoint must name; it is the same for as long as the provider runs.
func (p *Provider) nonce(endpoint string) string { return "nonce-" + endpoint + "-" + p.port }
