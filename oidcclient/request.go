package oidcclient

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
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
}

// Authorization is an authorization request in the forms in which it is used.
// All but Request may be shown to the user's device.
type Authorization struct {
	URL        string            // where the browser goes
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
	m, err := p.metadata.get(ctx)
	if err != nil {
		return Authorization{}, err
	}
	client, err := p.oauth2(m, o.RedirectURI)
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
	a := Authorization{URL: client.AuthCodeURL(r.State, o.parameters(r)...), Endpoint: m.Authorization, Request: r}
	a.Parameters, err = parameters(a.URL)
	return a, err
}

// parameters are those that oauth2 does not set by itself.
func (o RequestOptions) parameters(r Request) []oauth2.AuthCodeOption {
	list := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(r.Verifier), oauth2.SetAuthURLParam("nonce", r.Nonce)}
	add := func(name, value string) {
		if value != "" {
			list = append(list, oauth2.SetAuthURLParam(name, value))
		}
	}
	add("login_hint", o.LoginHint)
	add("prompt", o.Prompt)
	add("ui_locales", strings.Join(o.Locales, " "))
	add("acr_values", strings.Join(o.ACRValues, " "))
	if o.MaxAge != nil {
		add("max_age", strconv.FormatInt(int64(*o.MaxAge/time.Second), 10))
	}
	if o.RequireACR {
		add("claims", essential(o.ACRValues))
	}
	return list
}

// essential is a claims parameter (Core §5.5) that asks for one of the values.
func essential(values []string) string {
	text, _ := json.Marshal(map[string]any{ // strings: cannot fail
		"id_token": map[string]any{"acr": map[string]any{"essential": true, "values": values}},
	})
	return string(text)
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
