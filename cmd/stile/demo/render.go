package demo

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// view is what the story reads of Stile's answers.
type view struct {
	Flow struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	} `json:"flow"`
	Handle   string    `json:"handle"`
	NextStep *nextStep `json:"nextStep"`
	Result   *struct {
		Session string `json:"session"`
		Grant   struct {
			Type   string `json:"type"`
			Token  string `json:"token"`
			Scheme string `json:"scheme"`
		} `json:"grant"`
	} `json:"result"`
	Assurance struct {
		ACR *string  `json:"acr"`
		AMR []string `json:"amr"`
	} `json:"assurance"`
	Code string `json:"code"` // of a problem
}

type nextStep struct {
	Type   string         `json:"type"`
	StepID string         `json:"stepId"`
	Data   map[string]any `json:"data"`
}

func viewOf(body []byte) (view, error) {
	var v view
	if err := json.Unmarshal(body, &v); err != nil {
		return view{}, fmt.Errorf("the answer is no JSON: %w", err)
	}
	return v, nil
}

func (v view) acr() string {
	if v.Assurance.ACR == nil {
		return "none"
	}
	return *v.Assurance.ACR
}

func object(body []byte) map[string]any {
	var m map[string]any
	_ = json.Unmarshal(body, &m) // nil if it is none
	return m
}

// short shortens a secret to its first four characters, and to fewer if that would be much of it.
func short(secret string) string {
	keep := 4
	if utf8.RuneCountInString(secret) < 12 {
		keep = 1
	}
	for i := range secret {
		if keep == 0 {
			return secret[:i] + "…"
		}
		keep--
	}
	return "…"
}

// open are the names of values that are shown as they are; all others are secrets or might be.
func open(name string) bool {
	return slices.Contains([]string{
		"username", "clientId", "target", "client_id", "grant_type", "response_type", "redirect_uri", "scope",
		"code_challenge_method", "iss", "select", "acrValues", "maxAge", "error", "decision", "token_type", "expires_in",
	}, name)
}

func shown(name string, value any) string {
	text, ok := value.(string)
	if !ok {
		raw, _ := json.Marshal(value) // came from JSON
		text = string(raw)
	}
	if open(name) {
		return text
	}
	return short(text)
}

// fields renders the members of an object in the order of their names.
func fields(m map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+"="+shown(name, m[name]))
	}
	return strings.Join(parts, " ")
}

func flat(values url.Values) map[string]any {
	m := map[string]any{}
	for name := range values {
		m[name] = values.Get(name)
	}
	return m
}

func formLine(x app.Exchange) string {
	values, err := url.ParseQuery(string(x.RequestBody))
	if err != nil {
		return requestLine(x)
	}
	return requestLine(x) + "  " + fields(flat(values))
}

// requestLine is "POST http://127.0.0.1:1/path"; a query is left to those who know what is secret in it.
func requestLine(x app.Exchange) string {
	address, _, more := strings.Cut(x.URL, "?")
	if strings.Contains(address, "/v1/") { // Stile's own queries hold the turn only
		address, more = x.URL, false
	}
	if more {
		address += "?…"
	}
	return x.Method + " " + address
}

// credentials shows the Authorization and DPoP headers in short form.
func credentials(x app.Exchange) string {
	var parts []string
	if a := x.RequestHeader.Get("Authorization"); a != "" {
		scheme, secret, _ := strings.Cut(a, " ")
		parts = append(parts, "Authorization: "+scheme+" "+short(secret))
	}
	if p := x.RequestHeader.Get("DPoP"); p != "" {
		parts = append(parts, "DPoP: "+short(p))
	}
	if len(parts) == 0 {
		return "no credentials"
	}
	return strings.Join(parts, ", ")
}

// claimsOf decodes the payload of a JWT; whoever prints it has no use for the signature.
func claimsOf(token string) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the token is no JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("the token's payload: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		return nil, fmt.Errorf("the token's payload: %w", err)
	}
	return claims, nil
}
