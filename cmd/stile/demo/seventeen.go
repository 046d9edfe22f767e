package demo

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const stepSSO = "/v1/flow/steps/sso"

// seventeen is the first run: a sign-on at a remote provider, nothing more.
// offlineOnly is that of the [Provider].
func seventeen(offlineOnly bool) scene {
	flows := "/v1/flows"
	returned := step{"the remote server returns access, refresh and ID token", toEndpoint("token_endpoint", true), returnsTokens}
	if offlineOnly {
		returned = step{"the remote server returns access and ID token", toEndpoint("token_endpoint", true), returnsNoRefreshToken}
	}
	return scene{run: 1, title: "accounts: sign on at a remote provider", steps: []step{
		callsAPI("the app calls the protected API", "/accounts"),
		refused("/accounts", ""),
		starts("accounts", false),
		{"the SSO step asks the OAuth 2.0 client for an authorization request", func(_ *memory, x moment) bool {
			return x.Who == whoClient && x.answered && strings.HasSuffix(x.URL, "/.well-known/openid-configuration")
		}, discovers},
		{"the client delivers the authorization request to the step", answered(whoApp, http.MethodPost, flows), delivers},
		{"the app receives nextStep", answered(whoApp, http.MethodPost, flows), receives},
		{"the app opens the system browser there", func(m *memory, x moment) bool {
			return x.Who == whoBrowser && !x.answered && m.provider != "" && strings.HasPrefix(x.URL, m.provider+"?")
		}, opensBrowser},
		{"the user logs in at the remote server and consents", redirected, logsIn},
		{"the server answers the browser with the authorization code", redirected, returnsCode},
		{"the browser hands the response to the app", asked(whoApp, http.MethodPost, stepSSO), handsOver},
		submits("the app forwards it to the SSO step", stepSSO),
		{"the step forwards it to the client", toEndpoint("token_endpoint", false), forwards},
		{"the client trades the code for tokens, with PKCE", toEndpoint("token_endpoint", false), trades},
		returned,
		{"the client reports success", answered(whoApp, http.MethodPost, stepSSO), reports},
		completes(stepSSO),
		opens("the app receives the propagated identity and calls the API again, with success", "/accounts", "aal1"),
	}}
}

func discovers(m *memory, x moment) ([]string, error) {
	m.discovery = object(x.ResponseBody)
	if x.Status != http.StatusOK || m.endpoint("authorization_endpoint") == "" || m.endpoint("token_endpoint") == "" {
		return nil, fmt.Errorf("discovery answered %d without endpoints", x.Status)
	}
	return []string{requestLine(x.Exchange), fmt.Sprintf("%d  authorization_endpoint=%s", x.Status, m.endpoint("authorization_endpoint"))}, nil
}

func delivers(m *memory, x moment) ([]string, error) {
	if _, err := progress(x); err != nil {
		return nil, err
	}
	if m.view.NextStep == nil {
		return nil, errors.New("there is no nextStep")
	}
	if _, err := takeRequest(m); err != nil {
		return nil, err
	}
	return []string{fields(m.request)}, nil
}

func receives(m *memory, x moment) ([]string, error) {
	n := m.view.NextStep
	if n.Type != "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED" {
		return nil, fmt.Errorf("Stile asks for %s", n.Type)
	}
	if m.provider != m.endpoint("authorization_endpoint") {
		return nil, fmt.Errorf("the remote server's address is %q", m.provider)
	}
	return []string{
		fmt.Sprintf("%d  nextStep %s (%s)  handle %s", x.Status, n.Type, n.StepID, short(m.view.Handle)),
		fmt.Sprintf("provider=%v  address %s  redirectUri=%s", n.Data["provider"], m.provider, m.redirect),
	}, nil
}

func opensBrowser(m *memory, x moment) ([]string, error) {
	u, err := url.Parse(x.URL)
	if err != nil {
		return nil, err
	}
	same := "state"
	if m.request["request_uri"] != nil {
		same = "request_uri"
	}
	if u.Query().Get(same) != m.request[same] {
		return nil, errors.New("the browser opens another request than the one that Stile made")
	}
	return []string{requestLine(x.Exchange)}, nil
}

func logsIn(m *memory, _ moment) ([]string, error) {
	if len(m.forms) < 2 {
		return nil, fmt.Errorf("the browser sent %d forms; a login and a consent were expected", len(m.forms))
	}
	return m.forms, nil
}

func handsOver(m *memory, x moment) ([]string, error) {
	sent, _ := object(x.RequestBody)["queryString"].(string)
	if sent == "" || sent != m.returned {
		return nil, errors.New("what the app has is not what the browser was sent back with")
	}
	scheme, _, _ := strings.Cut(m.redirect, ":")
	return []string{"the scheme " + scheme + " belongs to the app (RFC 8252): it now has code, state and iss"}, nil
}

func tokenRequest(x moment) url.Values {
	form, _ := url.ParseQuery(string(x.RequestBody)) // what cannot be parsed is not there
	return form
}

func forwards(m *memory, x moment) ([]string, error) {
	returned, err := url.ParseQuery(m.returned)
	if err != nil {
		return nil, err
	}
	code := tokenRequest(x).Get("code")
	if code == "" || code != returned.Get("code") {
		return nil, errors.New("the client has another code than the app had")
	}
	return []string{"the client has the code " + short(code)}, nil
}

func trades(m *memory, x moment) ([]string, error) {
	form := tokenRequest(x)
	challenge, _ := m.request["code_challenge"].(string)
	if form.Get("grant_type") != "authorization_code" || !isS256(form.Get("code_verifier"), challenge) {
		return nil, errors.New("the code_verifier does not belong to the code_challenge")
	}
	return []string{requestLine(x.Exchange) + "  " + credentials(x.Exchange), fields(flat(form))}, nil
}

func returnsTokens(m *memory, x moment) ([]string, error) {
	return hasTokens(m, x, "access_token", "refresh_token", "id_token")
}

// returnsNoRefreshToken checks a provider that gives one for the scope
// offline_access only, which nobody has asked for here.
func returnsNoRefreshToken(m *memory, x moment) ([]string, error) {
	lines, err := hasTokens(m, x, "access_token", "id_token")
	if err != nil {
		return nil, err
	}
	if scope, _ := m.request["scope"].(string); slices.Contains(strings.Fields(scope), "offline_access") {
		return nil, errors.New("offline_access was asked for, which this story does not do")
	}
	if m.tokens["refresh_token"] != nil {
		return nil, errors.New("there is a refresh_token, and offline_access was not asked for")
	}
	return append(lines, "no refresh token: the scope offline_access was not asked for"), nil
}

func hasTokens(m *memory, x moment, names ...string) ([]string, error) {
	if x.Status != http.StatusOK {
		return nil, fmt.Errorf("the token endpoint answered %d %v", x.Status, object(x.ResponseBody)["error"])
	}
	m.tokens = object(x.ResponseBody)
	for _, name := range names {
		if text, _ := m.tokens[name].(string); text == "" {
			return nil, fmt.Errorf("there is no %s", name)
		}
	}
	return []string{"200  " + fields(m.tokens)}, nil
}

// reports checks that the client had reason to be content: it fetched the keys, and the ID token answers this request.
func reports(m *memory, x moment) ([]string, error) {
	if _, err := progress(x); err != nil {
		return nil, err
	}
	raw, _ := m.tokens["id_token"].(string)
	claims, err := claimsOf(raw)
	if err != nil {
		return nil, err
	}
	if claims["nonce"] != m.request["nonce"] || !m.keysRead {
		return nil, errors.New("the ID token is of another request, or its signature was not checked")
	}
	header, _ := base64.RawURLEncoding.DecodeString(strings.SplitN(raw, ".", 2)[0])
	return []string{
		fmt.Sprintf("GET %s, ID token: alg=%v iss=%v aud=%v nonce as asked", m.endpoint("jwks_uri"), object(header)["alg"], claims["iss"], claims["aud"]),
	}, nil
}
