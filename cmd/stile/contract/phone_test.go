package contract_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// view is an answer of the flow API, or a problem document.
type view struct {
	Flow struct {
		ID, Name, Status string
		Turn             int
		ExpiresAt        time.Time
	}
	Handle   string
	NextStep *step
	Result   *struct {
		Session string
		Grant   *struct{ Token, Scheme string }
	}
	Assurance struct {
		ACR *string
		AMR []string
	}
	Code       string
	RetryAfter int
}

type step struct {
	Type, StepID string
	Data         json.RawMessage
	Actions      []struct {
		Name, Method, Href string
	}
}

func (s *step) href(action string) string {
	for _, a := range s.Actions {
		if a.Name == action {
			return a.Href
		}
	}
	return ""
}

// forward is the action that goes on.
func (s *step) forward() string {
	if h := s.href("submit"); h != "" {
		return h
	}
	return s.href("select")
}

type reply struct {
	status int
	header http.Header
	body   string
	view   view
}

func (r reply) is(status int, code string) bool { return r.status == status && r.view.Code == code }

// phone is a client without manners: it sends what a test wants sent.
type phone struct {
	t       tb
	w       *world
	http    *http.Client
	client  string
	key     *signer // of DPoP; nil: none
	device  *signer // enrolled
	pending *signer
	browser *app.Browser
	handle  string
	view    view

	proofSpoilt  func(header, claims map[string]any) // of the next DPoP proof only
	deviceSpoilt func(header, claims map[string]any) // of the next signature of a device key only
}

func newPhone(t tb, w *world, client string) *phone {
	t.Helper()
	b, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: providerUser, Password: providerPassword}})
	must(t, err)
	return &phone{t: t, w: w, client: client, key: newSigner(t), browser: b, http: http.DefaultClient}
}

// other is the same run in the hands of another phone.
func (p *phone) other() *phone {
	q := *p
	q.key = newSigner(p.t)
	return &q
}

// send sends one request with a proof and the handle, changed by edits.
func (p *phone) send(method, href, body string, edits ...func(*http.Request)) reply {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.w.ctx, method, p.w.node.URL()+href, strings.NewReader(body))
	must(p.t, err)
	if body == "" {
		req.Body = http.NoBody
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if p.handle != "" {
		req.Header.Set("Authorization", "Flow "+p.handle)
	}
	if p.key != nil {
		req.Header.Set("DPoP", p.proof(method, href))
	}
	for _, edit := range edits {
		edit(req)
	}
	resp, err := p.http.Do(req)
	must(p.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(p.t, err)
	r := reply{status: resp.StatusCode, header: resp.Header, body: string(data)}
	if len(data) > 0 {
		must(p.t, json.Unmarshal(data, &r.view))
	}
	return r
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

// post sends to href and takes over what the answer brings.
func (p *phone) post(href string, body map[string]any, edits ...func(*http.Request)) reply {
	p.t.Helper()
	r := p.send(http.MethodPost, href, text(p.t, body), edits...)
	if r.view.Handle != "" {
		p.handle = r.view.Handle
	}
	if r.view.Flow.ID != "" {
		p.view = r.view
	}
	return r
}

func text(t tb, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	must(t, e.Encode(v))
	return b.String()
}

// start starts a flow or target and wants that to succeed.
func (p *phone) start(kind, name string, more ...string) {
	p.t.Helper()
	body := map[string]any{"clientId": p.client, kind: name}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	p.handle = ""
	if r := p.post("/v1/flows", body); r.status != http.StatusCreated {
		p.t.Fatalf("start of %s: %d %s", name, r.status, r.body)
	}
}

func (p *phone) show(edits ...func(*http.Request)) reply {
	p.t.Helper()
	return p.send(http.MethodGet, "/v1/flow", "", edits...)
}

// right is the body that answers the current prompt.
func (p *phone) right() map[string]any {
	p.t.Helper()
	s := p.view.NextStep
	if s == nil {
		p.t.Fatalf("no prompt: %+v", p.view)
	}
	var data struct {
		AuthorizationRequestURI            string
		IdentifierRequired                 bool
		Challenge, Audience, Flow, Step    string
		Options                            []struct{ ID, Type string }
		RedirectURI, AuthorizationEndpoint string
	}
	must(p.t, json.Unmarshal(s.Data, &data))
	now := p.w.clock.now()
	claims := map[string]any{
		"aud": data.Audience, "nonce": data.Challenge, "flow": data.Flow, "step": data.Step,
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	switch s.Type {
	case "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED":
		return map[string]any{"queryString": p.signOn()}
	case "PASSWORD_REQUIRED":
		if data.IdentifierRequired {
			return map[string]any{"username": login, "password": password}
		}
		return map[string]any{"password": password}
	case "PIN_REQUIRED":
		return map[string]any{"pin": pin}
	case "OTP_REQUIRED":
		code, err := p.w.code()
		must(p.t, err)
		return map[string]any{"code": code}
	case "SELECTION_REQUIRED":
		return map[string]any{"select": data.Options[0].ID}
	case "DEVICE_ENROLMENT_REQUIRED":
		p.pending = newSigner(p.t)
		claims["jkt"] = p.key.thumbprint
		return map[string]any{"jws": p.deviceSign(p.pending, map[string]any{"typ": "devbind+jwt", "jwk": p.pending.jwk}, claims)}
	case "BIOMETRIC_ATTESTATION_REQUIRED":
		claims["iss"], claims["sub"] = p.client, p.device.thumbprint
		return map[string]any{"jws": p.deviceSign(p.device, map[string]any{"typ": "devauth+jwt", "kid": p.device.thumbprint}, claims)}
	}
	p.t.Fatalf("what is %s?", s.Type)
	return nil
}

// signOn goes through the provider's pages and returns the query of the redirect.
func (p *phone) signOn() string {
	p.t.Helper()
	var data struct{ AuthorizationRequestURI string }
	must(p.t, json.Unmarshal(p.view.NextStep.Data, &data))
	back, err := p.browser.Open(p.w.ctx, data.AuthorizationRequestURI, redirectURI)
	must(p.t, err)
	_, query, _ := strings.Cut(back, "?")
	return query
}

func (p *phone) deviceSign(k *signer, head, claims map[string]any) string {
	if spoil := p.deviceSpoilt; spoil != nil {
		p.deviceSpoilt = nil
		return k.sign(p.t, head, claims, spoil)
	}
	return k.sign(p.t, head, claims, nil)
}

// proof makes a DPoP proof for one request.
func (p *phone) proof(method, href string) string {
	path, _, _ := strings.Cut(href, "?")
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": p.w.node.URL() + path, "iat": p.w.clock.now().Unix()}
	spoil := p.proofSpoilt
	p.proofSpoilt = nil
	return p.key.sign(p.t, map[string]any{"typ": "dpop+jwt", "jwk": p.key.jwk}, claims, spoil)
}

// answer answers the current prompt rightly and wants that to be accepted.
func (p *phone) answer() {
	p.t.Helper()
	asked := p.view.NextStep
	body := p.right()
	r := p.post(asked.forward(), body)
	if r.status != http.StatusOK {
		p.t.Fatalf("%s: %d %s", asked.Type, r.status, r.body)
	}
	if asked.Type == "DEVICE_ENROLMENT_REQUIRED" {
		p.device = p.pending
	}
}

// until answers prompts until one of that type waits.
func (p *phone) until(typ string) {
	p.t.Helper()
	for p.view.NextStep != nil && p.view.NextStep.Type != typ {
		p.answer()
	}
	if p.view.NextStep == nil {
		p.t.Fatalf("the run is %s and never asked for %s", p.view.Flow.Status, typ)
	}
}

// finish answers everything and returns the token, if the run is for a target.
func (p *phone) finish() string {
	p.t.Helper()
	for range 40 {
		if p.view.Flow.Status == "completed" {
			if g := p.view.Result.Grant; g != nil {
				return g.Token
			}
			return ""
		}
		p.answer()
	}
	p.t.Fatalf("no end: %+v", p.view)
	return ""
}

// signer is a P-256 key with its public half as it goes over the wire.
type signer struct {
	private    *ecdsa.PrivateKey
	jwk        map[string]any
	thumbprint string
}

func newSigner(t tb) *signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	point, err := k.PublicKey.Bytes()
	must(t, err)
	x, y := b64(point[1:33]), b64(point[33:])
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return &signer{k, map[string]any{"kty": "EC", "crv": "P-256", "x": x, "y": y}, b64(sum[:])}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes a compact JWS of header and claims as spoil leaves them.
func (s *signer) sign(t tb, head, claims map[string]any, spoil func(header, claims map[string]any)) string {
	t.Helper()
	head["alg"] = "ES256"
	if spoil != nil {
		spoil(head, claims)
	}
	h, err := json.Marshal(head)
	must(t, err)
	c, err := json.Marshal(claims)
	must(t, err)
	input := b64(h) + "." + b64(c)
	signature, err := jwt.SigningMethodES256.Sign(input, s.private)
	must(t, err)
	return input + "." + b64(signature)
}

// claimsOf verifies a token with the published keys, as a relying party would.
func (w *world) claimsOf(t tb, token string) jwt.MapClaims {
	t.Helper()
	resp, err := http.Get(w.node.URL() + "/.well-known/jwks.json")
	must(t, err)
	defer resp.Body.Close()
	var set struct {
		Keys []struct{ KID, X, Y string }
	}
	must(t, json.NewDecoder(resp.Body).Decode(&set))
	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(token, claims, func(tok *jwt.Token) (any, error) {
		for _, k := range set.Keys {
			if k.KID == tok.Header["kid"] {
				x, errX := base64.RawURLEncoding.DecodeString(k.X)
				y, errY := base64.RawURLEncoding.DecodeString(k.Y)
				if errX != nil || errY != nil {
					return nil, jwt.ErrTokenUnverifiable
				}
				return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
			}
		}
		return nil, jwt.ErrTokenUnverifiable
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(w.clock.now), jwt.WithIssuer(w.node.URL()),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	must(t, err)
	return claims
}
