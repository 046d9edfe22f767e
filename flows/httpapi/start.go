package httpapi

import (
	"time"

	"github.com/stile-auth/stile/flows"
)

// startBody is the body of POST /v1/flows.
type startBody struct {
	ClientID     string   `json:"clientId"`
	Flow         string   `json:"flow,omitempty"`
	Target       string   `json:"target,omitempty"`
	ACRValues    []string `json:"acrValues,omitempty"`
	MaxAge       *int64   `json:"maxAge,omitempty"` // seconds
	LoginHint    string   `json:"loginHint,omitempty"`
	Locale       string   `json:"locale,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"`
	Session      string   `json:"session,omitempty"`
	Activate     []string `json:"activate,omitempty"`
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
		LoginHint: b.LoginHint, Locale: b.Locale, Capabilities: b.Capabilities, Session: flows.Secret(b.Session),
		Activate: b.Activate,
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
	for _, s := range []string{b.ClientID, b.Flow, b.Target, b.Locale, b.Session} {
		if len(s) > maxName {
			return false
		}
	}
	if b.MaxAge != nil && (*b.MaxAge < 0 || *b.MaxAge > maxMaxAge) {
		return false
	}
	return len(b.LoginHint) <= maxHint && entriesFit(b.ACRValues) && entriesFit(b.Capabilities) && entriesFit(b.Activate)
}

func entriesFit(list []string) bool {
	for _, s := range list {
		if s == "" || len(s) > maxName {
			return false
		}
	}
	return len(list) <= maxEntries
}
