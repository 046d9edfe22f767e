package provider

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation"
)

// said is what one of our own tokens says.
type said struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience string         `json:"aud"`
	Client   string         `json:"client_id"`
	Session  string         `json:"sid"`
	Scope    string         `json:"scope"`
	Expires  int64          `json:"exp"`
	Key      confirmation   `json:"cnf"`
	all      map[string]any // every claim
	told     encoded        // the answer to who asks about it, as long as it is active
}

type confirmation struct {
	JKT string `json:"jkt"`
}

var errNotOurs = errors.New("provider: no token of ours")

// verify checks that we have signed a token, and as what.
func (s *Server) verify(ctx context.Context, text, typ string) (said, error) {
	set, err := s.cfg.Keys.Current(ctx)
	if err != nil {
		return said{}, errors.Join(flows.ErrUnavailable, err)
	}
	t, err := s.signed(set, text, typ)
	return t.said, err
}

// verifyAgain is verify for tokens that come again and again.
func (s *Server) verifyAgain(ctx context.Context, text, typ string) (said, error) {
	set, err := s.cfg.Keys.Current(ctx)
	if err != nil {
		return said{}, errors.Join(flows.ErrUnavailable, err)
	}
	id := sha256.Sum256([]byte(typ + "\x00" + text))
	if t, ok := s.seen.get(id, set); ok {
		return t, nil
	}
	t, err := s.signed(set, text, typ)
	if err == nil {
		s.seen.put(id, t)
	}
	return t.said, err
}

func (s *Server) signed(set *propagation.KeySet, text, typ string) (signed, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, a := range propagation.Algorithms() {
		algorithms = append(algorithms, jose.SignatureAlgorithm(a))
	}
	jws, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		return signed{}, errNotOurs
	}
	header := jws.Signatures[0].Protected
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return signed{}, errNotOurs
	}
	for _, k := range set.Keys() {
		if k.ID() != header.KeyID || k.Algorithm() != header.Algorithm {
			continue
		}
		payload, err := jws.Verify(k.Public())
		if err != nil {
			return signed{}, errNotOurs
		}
		var t said
		if json.Unmarshal(payload, &t) != nil || json.Unmarshal(payload, &t.all) != nil || t.Issuer != s.cfg.Issuer {
			return signed{}, errNotOurs
		}
		t.told, err = t.introspection()
		return signed{t, k.ID(), k.Algorithm(), k.Public()}, err
	}
	return signed{}, errNotOurs
}

// introspection is every claim, and what no claim can say (RFC 7662 §2.2).
func (t said) introspection() (encoded, error) {
	out := maps.Clone(t.all)
	if out["active"], out["token_type"] = true, "Bearer"; t.Key.JKT != "" {
		out["token_type"] = "DPoP"
	}
	return json.Marshal(out)
}

// hint is what an ID token says that we have issued, also long ago.
func (s *Server) hint(ctx context.Context, text string) (said, error) {
	return s.verify(ctx, text, "JWT")
}

// access checks an access token: signature, time, and that what it rests on is still there.
func (s *Server) access(ctx context.Context, text string) (said, error) {
	t, err := s.verifyAgain(ctx, text, "at+jwt")
	if err != nil {
		return t, err
	}
	if !s.cfg.Now().Before(time.Unix(t.Expires, 0)) {
		return t, errNotOurs
	}
	find := s.cfg.Engine.OwnClient
	if t.Session == "" { // a client's own
		find = s.cfg.Engine.Client
	}
	if _, err := find(ctx, t.Client); errors.Is(err, flows.ErrNotFound) {
		return t, errNotOurs
	} else if err != nil || t.Session == "" {
		return t, err
	}
	detached := slices.Contains(strings.Fields(t.Scope), scopeOffline)
	if err := s.cfg.Engine.Alive(ctx, t.Subject, t.Session, detached); err != nil {
		return t, err
	}
	return t, nil
}

// introspect answers RFC 7662: whoever is not to know of a token is told what
// whoever presents rubbish is told.
func (s *Server) introspect(ctx context.Context, q *asked) (any, error) {
	if !q.known() {
		return nil, &failure{Code: errClient, Description: "a client that proves who it is may ask", status: http.StatusUnauthorized}
	}
	text := q.Get("token")
	if text == "" {
		return nil, fail(errRequest, "token is missing")
	}
	inactive := map[string]any{"active": false}
	t, err := s.access(ctx, text)
	switch {
	case err == nil:
		if !s.concerns(q, t) {
			return inactive, nil
		}
		return t.told, nil
	case !errors.Is(err, errNotOurs) && !errors.Is(err, flows.ErrGrant):
		return nil, err
	}
	info, err := s.cfg.Engine.Inspect(ctx, flows.Secret(text))
	switch {
	case errors.Is(err, flows.ErrGrant) || err == nil && info.Client != q.client.ID:
		return inactive, nil
	case err != nil:
		return nil, err
	}
	return map[string]any{
		"active": true, "client_id": info.Client, "sub": info.Subject, "sid": info.Session, "exp": info.Expires.Unix(), "iss": s.cfg.Issuer,
	}, nil
}

// concerns says whether a token is the client's own, or for a target of its.
func (s *Server) concerns(q *asked, t said) bool {
	if t.Client == q.client.ID {
		return true
	}
	for _, name := range q.client.Targets {
		if target := s.cfg.Definitions().Targets[name]; target != nil && target.Audience() == t.Audience {
			return true
		}
	}
	return false
}

// revoke answers RFC 7009. Access tokens cannot be called back: they are short, and end with their session.
func (s *Server) revoke(ctx context.Context, q *asked) (any, error) {
	text := q.Get("token")
	if text == "" {
		return nil, fail(errRequest, "token is missing")
	}
	if strings.Count(text, ".") == 2 {
		return nil, fail("unsupported_token_type", "access tokens end by themselves; revoke the refresh token")
	}
	if err := s.cfg.Engine.Revoke(ctx, q.caller(), q.client.ID, flows.Secret(text)); err != nil {
		return nil, err
	}
	return map[string]any{}, nil
}

// userInfo answers OpenID Connect Core 1.0 §5.3.
func (s *Server) userInfo(w http.ResponseWriter, r *http.Request) {
	t, err := s.presented(w, r)
	if err != nil {
		f := failureOf(err)
		if f.status < http.StatusInternalServerError {
			challenge(w.Header(), r, f)
		}
		f.write(w)
		return
	}
	out := map[string]any{"sub": t.Subject}
	for name, v := range t.all {
		if !propagation.Reserved(name) {
			out[name] = v
		}
	}
	writeJSON(w, http.StatusOK, out)
}

// challenge says how to present a token: in the scheme that was tried, or in either (RFC 6750 §3, RFC 9449 §7.1).
func challenge(h http.Header, r *http.Request, f *failure) {
	text := `realm="stile"`
	if f.Code != "" {
		text += `, error="` + f.Code + `"`
	}
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "dpop") {
		h.Add("WWW-Authenticate", "Bearer "+text)
	}
	if !strings.EqualFold(scheme, "bearer") {
		h.Add("WWW-Authenticate", "DPoP "+text+`, algs="ES256 EdDSA PS256"`)
	}
}

// presented is the access token of a request (RFC 6750 §2.1, RFC 9449 §7.1).
func (s *Server) presented(w http.ResponseWriter, r *http.Request) (said, error) {
	refused := &failure{Code: errToken, Description: "the token is not good", status: http.StatusUnauthorized}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return said{}, &failure{status: http.StatusUnauthorized}
	}
	scheme, text, ok := strings.Cut(headers[0], " ")
	bound := strings.EqualFold(scheme, "dpop")
	if !ok || len(headers) > 1 || !bound && !strings.EqualFold(scheme, "bearer") {
		return said{}, refused
	}
	t, err := s.access(r.Context(), text)
	if errors.Is(err, errNotOurs) || errors.Is(err, flows.ErrGrant) {
		return said{}, refused
	}
	if err != nil {
		return said{}, err
	}
	if t.Session == "" || !slices.Contains(strings.Fields(t.Scope), scopeOpenID) {
		return said{}, &failure{Code: errFewScopes, Description: "the token is not for this", status: http.StatusForbidden}
	}
	if bound != (t.Key.JKT != "") {
		return said{}, refused
	}
	if bound {
		key, err := s.proof(w, r, text)
		switch f := failureOf(err); {
		case err != nil && f.Code == errNonce:
			return said{}, &failure{Code: errNonce, Description: f.Description, status: http.StatusUnauthorized, cause: err}
		case err != nil && f.status >= http.StatusInternalServerError:
			return said{}, f
		case err != nil || key != t.Key.JKT:
			return said{}, refused
		}
	}
	return t, nil
}
