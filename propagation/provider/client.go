package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
)

const (
	assertionType    = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxAssertionLife = 5 * time.Minute
	skew             = 30 * time.Second
)

// assertionAlgorithms are those that clients may sign assertions with.
func assertionAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.EdDSA, jose.PS256, jose.RS256}
}

func assertionNames() []string {
	var out []string
	for _, a := range assertionAlgorithms() {
		out = append(out, string(a))
	}
	return out
}

// form reads the parameters of a POST.
func form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	const urlencoded = "application/x-www-form-urlencoded"
	if media := r.Header.Get("Content-Type"); media != urlencoded { // most say just that
		if media, _, err := mime.ParseMediaType(media); err != nil || media != urlencoded {
			return nil, false
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, false
	}
	return r.PostForm, true
}

// asked is a request of a client: what it sent, and who it is.
type asked struct {
	url.Values
	client *flowdefs.Client
	found  flows.Found // the same
	key    string      // thumbprint of its DPoP proof, "" if there was none
	id     string      // of the request
}

func (q *asked) caller() flows.Caller { return flows.Caller{Key: q.key, RequestID: q.id} }

// known says whether the client has proved who it is.
func (q *asked) known() bool { return q.client.OAuth.Auth != flowdefs.AuthNone }

// direct reads a request that a client sends by itself, and answers with JSON.
func (s *Server) direct(do func(ctx context.Context, q *asked) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Pragma", "no-cache")
		q, err := s.asked(w, r)
		var out any
		if err == nil {
			out, err = do(r.Context(), q)
		}
		if err != nil {
			f := failureOf(err)
			if f.status >= http.StatusInternalServerError {
				s.cfg.Logger.Error("request failed", zapError(err))
			}
			if f.Code == errClient && r.Header.Get("Authorization") != "" { // RFC 6749 §5.2
				h.Set("WWW-Authenticate", `Basic realm="stile"`)
			}
			f.write(w)
			return
		}
		writeJSON(w, http.StatusOK, out)
	}
}

func (s *Server) asked(w http.ResponseWriter, r *http.Request) (*asked, error) {
	values, ok := form(w, r)
	if !ok || r.URL.RawQuery != "" {
		return nil, fail(errRequest, "expected a form")
	}
	for name, v := range values {
		if len(v) > 1 && name != "resource" {
			return nil, fail(errRequest, "a parameter stands there twice")
		}
	}
	q := &asked{Values: values, id: w.Header().Get("X-Request-Id")}
	var err error
	if q.found, err = s.authenticate(r, values, q.caller()); err != nil {
		return nil, err
	}
	q.client = q.found.Client
	q.key, err = s.proof(w, r, "")
	return q, err
}

// proof is the thumbprint of the request's DPoP proof, "" if it has none.
func (s *Server) proof(w http.ResponseWriter, r *http.Request, token string) (string, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) == 0 {
		return "", nil
	}
	w.Header().Set("DPoP-Nonce", s.cfg.Nonce()) // RFC 9449 §8.2: for the next one, too
	key, err := s.cfg.DPoP.Verify(r.Context(), headers, r.Method, s.cfg.Issuer+r.URL.EscapedPath(), token)
	switch {
	case errors.Is(err, dpop.ErrNonce):
		return "", fail(errNonce, "the proof needs the nonce of DPoP-Nonce")
	case errors.Is(err, errDPoP):
		return "", fail(errProof, "the proof is not acceptable")
	case err != nil:
		return "", &failure{Code: errBusy, Description: "try again later", status: http.StatusServiceUnavailable, cause: err}
	}
	return key, nil
}

// credentials are what a client proves itself with.
type credentials struct{ method, id, secret, assertion string }

// authenticate finds out which client asks. Whatever is wrong, the answer is the same.
func (s *Server) authenticate(r *http.Request, q url.Values, caller flows.Caller) (flows.Found, error) {
	refused := &failure{Code: errClient, Description: "the client is not known, or has not proved who it is", status: http.StatusUnauthorized}
	given, err := s.credentials(r, q)
	if err != nil {
		return flows.Found{}, refused
	}
	c, err := s.proved(r.Context(), caller, given)
	var f *failure
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &f):
		return flows.Found{}, f
	case errors.Is(err, errCredentials) || errors.Is(err, flows.ErrNotFound):
		refused.cause = err
		return flows.Found{}, refused
	}
	return flows.Found{}, failureOf(err)
}

// proved is the client that the credentials belong to.
func (s *Server) proved(ctx context.Context, caller flows.Caller, given credentials) (c flows.Found, err error) {
	admitted := false
	switch given.method {
	case flowdefs.AuthBasic, flowdefs.AuthPost:
		c, admitted, err = s.cfg.Engine.Admit(ctx, caller, given.id, given.method, given.secret)
	default:
		c, err = s.cfg.Engine.OwnClient(ctx, given.id)
	}
	if err != nil || admitted {
		return c, err
	}
	if c.OAuth == nil || c.OAuth.Auth != given.method {
		return c, errCredentials
	}
	switch given.method {
	case flowdefs.AuthNone:
		return c, nil
	case flowdefs.AuthPrivateKey:
		return c, s.assertion(ctx, c.Client, given.assertion)
	}
	return c, checkSecret(c.OAuth.Secrets, given.secret)
}

var errCredentials = errors.New("provider: credentials")

// credentials takes them from where they stand: in one place only (RFC 6749 §2.3).
func (s *Server) credentials(r *http.Request, q url.Values) (credentials, error) {
	header := r.Header.Values("Authorization")
	ways := 0
	for _, used := range []bool{len(header) > 0, q.Has("client_secret"), q.Has("client_assertion")} {
		if used {
			ways++
		}
	}
	switch {
	case ways > 1 || len(header) > 1:
		return credentials{}, errCredentials
	case len(header) == 1:
		return basic(header[0], q.Get("client_id"))
	case q.Has("client_secret"):
		return credentials{method: flowdefs.AuthPost, id: q.Get("client_id"), secret: q.Get("client_secret")}, nil
	case q.Has("client_assertion"):
		id := claimedBy(q.Get("client_assertion"))
		if q.Get("client_assertion_type") != assertionType || q.Has("client_id") && q.Get("client_id") != id {
			return credentials{}, errCredentials
		}
		return credentials{method: flowdefs.AuthPrivateKey, id: id, assertion: q.Get("client_assertion")}, nil
	}
	return credentials{method: flowdefs.AuthNone, id: q.Get("client_id")}, nil
}

// basic reads RFC 6749 §2.3.1: id and secret are form-encoded first.
func basic(header, id string) (credentials, error) {
	scheme, text, _ := strings.Cut(header, " ")
	raw, err := base64.StdEncoding.DecodeString(text)
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok || !strings.EqualFold(scheme, "basic") {
		return credentials{}, errCredentials
	}
	name, err := url.QueryUnescape(user)
	if err != nil {
		return credentials{}, errCredentials
	}
	secret, err := url.QueryUnescape(password)
	if err != nil || id != "" && id != name {
		return credentials{}, errCredentials
	}
	return credentials{method: flowdefs.AuthBasic, id: name, secret: secret}, nil
}

// checkSecret holds a secret of 256 random bits against the hashes of those that are good:
// nobody guesses it, so a plain hash does.
func checkSecret(hashes []string, secret string) error {
	sum := sha256.Sum256([]byte(secret))
	for _, hash := range hashes {
		want, err := hex.DecodeString(hash)
		if err == nil && len(want) == len(sum) && subtle.ConstantTimeCompare(want, sum[:]) == 1 {
			return nil
		}
	}
	return errCredentials
}

// claimedBy is who an assertion says that it is by; nothing is checked yet.
func claimedBy(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Subject
}

// assertion checks a client's assertion (RFC 7523 §3). Its audience is the issuer and
// nothing else: an assertion for another server, or for an address that somebody else chose, is none for us.
func (s *Server) assertion(ctx context.Context, c *flowdefs.Client, text string) error {
	jws, err := jose.ParseSignedCompact(text, assertionAlgorithms())
	if err != nil {
		return errCredentials
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(c.OAuth.Keys), &set); err != nil {
		return errCredentials
	}
	header := jws.Signatures[0].Protected
	i := slices.IndexFunc(set.Keys, func(k jose.JSONWebKey) bool {
		return (header.KeyID == "" && len(set.Keys) == 1 || k.KeyID == header.KeyID) && (k.Algorithm == "" || k.Algorithm == header.Algorithm) && k.IsPublic()
	})
	if i < 0 {
		return errCredentials
	}
	payload, err := jws.Verify(set.Keys[i].Key)
	if err != nil {
		return errCredentials
	}
	var claims struct {
		Issuer   string  `json:"iss"`
		Subject  string  `json:"sub"`
		Audience any     `json:"aud"`
		ID       string  `json:"jti"`
		Expires  float64 `json:"exp"`
		Issued   float64 `json:"iat"`
		Before   float64 `json:"nbf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return errCredentials
	}
	audience := claims.Audience
	if list, ok := audience.([]any); ok && len(list) == 1 {
		audience = list[0]
	}
	now := s.cfg.Now()
	expires := time.Unix(int64(claims.Expires), 0)
	switch {
	case claims.Issuer != c.ID || claims.Subject != c.ID, audience != s.cfg.Issuer,
		claims.ID == "" || len(claims.ID) > 256,
		!now.Before(expires.Add(skew)) || expires.Sub(now) > maxAssertionLife+skew,
		time.Unix(int64(claims.Issued), 0).After(now.Add(skew)) || time.Unix(int64(claims.Before), 0).After(now.Add(skew)):
		return errCredentials
	}
	err = s.cfg.Engine.TakeProof(ctx, "assertion of "+c.ID, claims.ID, expires.Add(2*skew))
	if errors.Is(err, flows.ErrTaken) {
		return errCredentials
	}
	if err != nil {
		return failureOf(err)
	}
	return nil
}
