package httpapi

import (
	"encoding/json"
	"time"

	"github.com/stile-auth/stile/flows"
)

// startBody is the body of POST /v1/flows.
type startBody struct {
	ClientID     string          `json:"clientId"`
	Flow         string          `json:"flow,omitempty"`
	Target       string          `json:"target,omitempty"`
	ACRValues    []string        `json:"acrValues,omitempty"`
	ACREssential *bool           `json:"acrEssential,omitempty"`
	Claims       json.RawMessage `json:"claims,omitempty"`
	MaxAge       *int64          `json:"maxAge,omitempty"` // seconds
	LoginHint    string          `json:"loginHint,omitempty"`
	Provider     string          `json:"provider,omitempty"`
	RedirectURI  string          `json:"redirectUri,omitempty"`
	Locale       string          `json:"locale,omitempty"`
	Capabilities []string        `json:"capabilities,omitempty"`
	Session      string          `json:"session,omitempty"`
	Activate     []string        `json:"activate,omitempty"`

	CodeChallenge string `json:"codeChallenge,omitempty"`

	Transaction map[string]string `json:"transaction,omitempty"`
}

// Limits of a start. They are far above what apps need; what they keep small
// is what a run carries with it.
const (
	maxName    = 256
	maxHint    = 1024
	maxEntries = 64
	maxMaxAge  = 10 * 365 * 24 * 60 * 60 // seconds
)

// parseStart reads a start strictly; every error is [flows.ErrMalformed].
func parseStart(data []byte) (flows.StartRequest, error) {
	var b startBody
	if err := flows.DecodeStrict(data, &b); err != nil {
		return flows.StartRequest{}, err
	}
	if !b.fits() {
		return flows.StartRequest{}, flows.ErrMalformed
	}
	r := flows.StartRequest{
		ClientID: b.ClientID, Flow: b.Flow, Target: b.Target, ACRValues: b.ACRValues,
		LoginHint: b.LoginHint, Provider: b.Provider, RedirectURI: b.RedirectURI, Locale: b.Locale, Capabilities: b.Capabilities, Session: flows.Secret(b.Session),
		Activate: b.Activate, Transaction: b.Transaction, CodeChallenge: b.CodeChallenge,
	}
	if b.ACREssential != nil {
		r.Voluntary = !*b.ACREssential
	}
	if err := b.claimed(&r); err != nil {
		return flows.StartRequest{}, err
	}
	if b.MaxAge != nil {
		age := time.Duration(*b.MaxAge) * time.Second
		r.MaxAge = &age
	}
	return r, nil
}

func (b *startBody) fits() bool {
	if b.ClientID == "" || (b.Flow == "") == (b.Target == "") {
		return false
	}
	for _, s := range []string{b.ClientID, b.Flow, b.Target, b.Provider, b.Locale, b.Session, b.CodeChallenge} {
		if len(s) > maxName {
			return false
		}
	}
	if b.MaxAge != nil && (*b.MaxAge < 0 || *b.MaxAge > maxMaxAge) {
		return false
	}
	if len(b.Transaction) > flows.MaxTransaction {
		return false
	}
	return len(b.LoginHint) <= maxHint && len(b.RedirectURI) <= maxHint && entriesFit(b.ACRValues) && entriesFit(b.Capabilities) && entriesFit(b.Activate)
}

func entriesFit(list []string) bool {
	for _, s := range list {
		if s == "" || len(s) > maxName {
			return false
		}
	}
	return len(list) <= maxEntries
}

// claimed reads what a claims parameter (OpenID Connect Core §5.5) asks of acr:
// one value or several, essential or not. All else that it can ask for is in
// every token, or in none.
func (b *startBody) claimed(r *flows.StartRequest) error {
	if b.Claims == nil {
		return nil
	}
	var claims map[string]map[string]json.RawMessage // maps, because names of members are case-sensitive
	if err := json.Unmarshal(b.Claims, &claims); err != nil {
		return flows.ErrMalformed
	}
	var acr struct {
		Essential bool     `json:"essential,omitempty"`
		Value     string   `json:"value,omitempty"`
		Values    []string `json:"values,omitempty"`
	}
	raw, asked := claims["id_token"]["acr"]
	if !asked || string(raw) == "null" {
		return nil
	}
	if err := flows.DecodeStrict(raw, &acr); err != nil || len(b.ACRValues) > 0 || acr.Value != "" && len(acr.Values) > 0 {
		return flows.ErrMalformed
	}
	r.ACRValues, r.Voluntary = acr.Values, !acr.Essential
	if acr.Value != "" {
		r.ACRValues = []string{acr.Value}
	}
	if !entriesFit(r.ACRValues) {
		return flows.ErrMalformed
	}
	return nil
}
