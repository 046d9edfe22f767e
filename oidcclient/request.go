package oidcclient

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// RequestOptions say what one sign-on asks for.
type RequestOptions struct {
	// RedirectURI is registered at the provider. Required.
	RedirectURI string
	// LoginHint is sent as login_hint.
	LoginHint string
	// ACRValues are wished for, the first most (Core §3.1.2.1).
	ACRValues []string
	// RequireACR makes one of ACRValues essential (Core §5.5.1.1): an ID token
	// with another acr, or without, is refused.
	RequireACR bool
	// MaxAge is the greatest age of the authentication at the provider, checked
	// in the ID token. 0 asks for a new one; nil does not ask.
	MaxAge *time.Duration
	// Prompt is sent as prompt: "login", "consent", ...
	Prompt string
	// Locales are sent as ui_locales, the preferred first.
	Locales []string
	// DomainHint is sent as domain_hint, which some providers know: the domain
	// whose people are meant.
	DomainHint string
	// Claims is sent as claims (Core §5.5): a JSON object.
	Claims map[string]any
	// Server says that RedirectURI is a server's, to which browsers send no fragment: the
	// response comes back in the query where it would have been one.
	Server bool
	// Parameters are sent besides. None of those that this package sends by
	// itself can be among them: see [Reserved].
	Parameters map[string]string
}

// Request is one authorization request as it waits for its response. It is
// secret, belongs to one run of one user, and survives a round trip through JSON.
type Request struct {
	Issuer      string         `json:"issuer"`
	RedirectURI string         `json:"redirectUri"`
	State       string         `json:"state"`
	Nonce       string         `json:"nonce"`
	Verifier    string         `json:"verifier"` // RFC 7636 §4.1
	IssuedAt    time.Time      `json:"issuedAt"`
	MaxAge      *time.Duration `json:"maxAge,omitempty"`
	ACRValues   []string       `json:"acrValues,omitempty"` // only if one is required
	ProofKey    []byte         `json:"proofKey,omitempty"`  // PKCS #8: what code and tokens are bound to
}

// Authorization is an authorization request in the forms in which it is used.
// All but Request may be shown to the user's device.
type Authorization struct {
	URL        string            // where the browser goes
	Mode       ResponseMode      // how it comes back
	Endpoint   string            // the authorization endpoint
	Parameters map[string]string // of the URL
	Request    Request
}

// AuthorizationRequest makes a request with a state, a nonce and a verifier of
// its own, 256 random bits each. [ErrUnavailable], or [ErrRefused] if the
// provider's metadata are not acceptable.
func (p *Provider) AuthorizationRequest(ctx context.Context, o RequestOptions) (Authorization, error) {
	if u, err := url.Parse(o.RedirectURI); err != nil || u.Scheme == "" || u.Fragment != "" {
		return Authorization{}, errors.New("oidcclient: RedirectURI is not an absolute URI without a fragment")
	}
	if o.RequireACR && len(o.ACRValues) == 0 {
		return Authorization{}, errors.New("oidcclient: RequireACR without ACRValues")
	}
	if err := checkParameters(o.Parameters); err != nil {
		return Authorization{}, err
	}
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Authorization{}, err
	}
	r := Request{
		Issuer: p.cfg.Issuer, RedirectURI: o.RedirectURI,
		State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(),
		IssuedAt: p.cfg.Now().UTC(), MaxAge: o.MaxAge,
	}
	if o.RequireACR {
		r.ACRValues = o.ACRValues
	}
	list, err := p.parameters(m, o, &r)
	if err != nil {
		return Authorization{}, err
	}
	return p.authorization(ctx, m, r, p.mode(o), p.oauth2(m, o.RedirectURI, credentials{}).AuthCodeURL(r.State, list...))
}

// authorization is the request in the form in which the browser carries it.
func (p *Provider) authorization(ctx context.Context, m metadata, r Request, mode ResponseMode, address string) (Authorization, error) {
	a := Authorization{URL: address, Mode: mode, Endpoint: m.Authorization, Request: r}
	var err error
	if a.Parameters, err = parameters(a.URL); err != nil {
		return Authorization{}, err
	}
	pushed, err := p.pushes(m)
	if err != nil || !pushed {
		return a, err
	}
	form := url.Values{}
	for name, value := range a.Parameters {
		form.Set(name, value)
	}
	query, err := p.push(ctx, m, form)
	if err != nil {
		return Authorization{}, err
	}
	endpoint, err := url.Parse(m.Authorization)
	if err != nil {
		return Authorization{}, unavailable("the authorization endpoint is no URL")
	}
	endpoint.RawQuery = query.Encode()
	a.URL = endpoint.String()
	a.Parameters, err = parameters(a.URL)
	return a, err
}

// mode is how the response to a request comes back.
func (p *Provider) mode(o RequestOptions) ResponseMode {
	if o.Server && p.cfg.ResponseMode == ModeFragment {
		return ModeQuery
	}
	return cmp.Or(p.cfg.ResponseMode, ModeQuery)
}

// parameters are those that oauth2 does not set by itself.
func (p *Provider) parameters(m metadata, o RequestOptions, r *Request) ([]oauth2.AuthCodeOption, error) {
	list := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(r.Verifier)}
	add := func(name, value string) {
		if value != "" {
			list = append(list, oauth2.SetAuthURLParam(name, value))
		}
	}
	for name, value := range o.Parameters {
		add(name, value)
	}
	if mode := p.mode(o); mode != ModeQuery {
		if m.Modes != nil && !slices.Contains(m.Modes, string(mode)) {
			return nil, unavailable("the provider does not answer by " + string(mode))
		}
		add("response_mode", string(mode))
	}
	add("login_hint", o.LoginHint)
	add("domain_hint", o.DomainHint)
	add("prompt", o.Prompt)
	add("ui_locales", strings.Join(o.Locales, " "))
	add("acr_values", strings.Join(o.ACRValues, " "))
	if o.MaxAge != nil {
		add("max_age", strconv.FormatInt(int64(*o.MaxAge/time.Second), 10))
	}
	if p.cfg.OAuth2 == nil { // without an ID token nobody says it back
		add("nonce", r.Nonce)
	}
	text, err := o.claims()
	if err != nil {
		return nil, err
	}
	add("claims", text)
	jkt, err := p.bind(m, r)
	add("dpop_jkt", jkt)
	return list, err
}

// bind gives the request a key, if tokens are to be bound to one.
func (p *Provider) bind(m metadata, r *Request) (string, error) {
	if !p.cfg.DPoP {
		return "", nil
	}
	if m.Proofs != nil && !slices.Contains(m.Proofs, "ES256") {
		return "", unavailable("the provider takes no proofs by ES256")
	}
	var err error
	if r.ProofKey, err = newProofKey(); err != nil {
		return "", err
	}
	key, err := parseProofKey(r.ProofKey)
	if err != nil {
		return "", err
	}
	return thumbprint(key)
}

// claims is the claims parameter (Core §5.5), with one of ACRValues essential if that is required.
func (o RequestOptions) claims() (string, error) {
	all := maps.Clone(o.Claims)
	if o.RequireACR {
		token, ok := all["id_token"].(map[string]any)
		if _, there := all["id_token"]; there && !ok {
			return "", errors.New("oidcclient: Claims: id_token is not an object")
		}
		token = maps.Clone(token)
		if token == nil {
			token = map[string]any{}
		}
		token["acr"] = map[string]any{"essential": true, "values": o.ACRValues}
		if all == nil {
			all = map[string]any{}
		}
		all["id_token"] = token
	}
	if len(all) == 0 {
		return "", nil
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// Reserved are the parameters of a request that nobody else sets: what they say
// is checked in the response, or decided by the configuration.
func Reserved() []string {
	return []string{
		"acr_values", "claims", "client_assertion", "client_assertion_type", "client_id", "client_secret", "code_challenge",
		"code_challenge_method", "domain_hint", "dpop_jkt", "id_token_hint", "login_hint", "max_age", "nonce", "prompt", "redirect_uri",
		"registration", "request", "request_uri", "response_mode", "response_type", "scope", "state", "ui_locales",
	}
}

func checkParameters(extra map[string]string) error {
	for name := range extra {
		if slices.Contains(Reserved(), name) {
			return fmt.Errorf("oidcclient: the parameter %s cannot be set", name)
		}
	}
	return nil
}

// parameters reads the query of an authorization request.
func parameters(address string) (map[string]string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, unavailable("the authorization endpoint is no URL")
	}
	all := map[string]string{}
	for name, values := range u.Query() {
		if len(values) != 1 {
			return nil, unavailable("the authorization endpoint has a parameter of a request")
		}
		all[name] = values[0]
	}
	return all, nil
}

// random returns 256 random bits.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
