package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// Who sends an exchange.
const (
	whoApp     = "app"     // the mobile app
	whoBrowser = "browser" // the system browser
	whoClient  = "client"  // the OAuth 2.0 client inside Stile
	whoBank    = "bank"    // the business API, to Stile
)

// What the steps wait for.

func asked(who, method, path string) func(*memory, moment) bool {
	return func(_ *memory, x moment) bool { return !x.answered && matches(x.Exchange, who, method, path) }
}

func answered(who, method, path string) func(*memory, moment) bool {
	return func(_ *memory, x moment) bool { return x.answered && matches(x.Exchange, who, method, path) }
}

// accepted waits for an answer that is not "wrong, try again": a one-time code
// may have been used, and then the app waits for the next one.
func accepted(path string) func(*memory, moment) bool {
	final := answered(whoApp, http.MethodPost, path)
	return func(m *memory, x moment) bool { return final(m, x) && x.Status != http.StatusUnprocessableEntity }
}

// matches compares the path only; one that ends in a slash is a beginning.
func matches(x app.Exchange, who, method, path string) bool {
	u, err := url.Parse(x.URL)
	if err != nil || x.Who != who || x.Method != method {
		return false
	}
	return u.Path == path || strings.HasSuffix(path, "/") && strings.HasPrefix(u.Path, path)
}

// redirected waits for the browser to be sent back to the app.
func redirected(m *memory, x moment) bool {
	return x.Who == whoBrowser && x.answered && m.redirect != "" &&
		strings.HasPrefix(x.ResponseHeader.Get("Location"), m.redirect+"?")
}

func toEndpoint(name string, want bool) func(*memory, moment) bool {
	return func(m *memory, x moment) bool {
		return x.Who == whoClient && x.answered == want && x.URL == m.endpoint(name)
	}
}

// The steps that several scenes share.

func callsAPI(title, path string) step {
	return step{title, asked(whoApp, http.MethodGet, path), func(_ *memory, x moment) ([]string, error) {
		return []string{requestLine(x.Exchange) + "  " + credentials(x.Exchange)}, nil
	}}
}

func refused(path, code string) step {
	return step{"the API refuses", answered(whoApp, http.MethodGet, path), func(_ *memory, x moment) ([]string, error) {
		challenge := strings.Join(x.ResponseHeader.Values("WWW-Authenticate"), ", ")
		if x.Status != http.StatusUnauthorized {
			return nil, fmt.Errorf("the API answered %d and not 401", x.Status)
		}
		if code != "" && !strings.Contains(challenge, `error="`+code+`"`) {
			return nil, fmt.Errorf("the challenge is %q and does not say %s", challenge, code)
		}
		return []string{"401  WWW-Authenticate: " + challenge}, nil
	}}
}

func starts(target string, session bool) step {
	return step{"the app starts the flow of " + target, asked(whoApp, http.MethodPost, "/v1/flows"), func(m *memory, x moment) ([]string, error) {
		body := object(x.RequestBody)
		if body["target"] != target {
			return nil, fmt.Errorf("it starts target %v", body["target"])
		}
		if sent, _ := body["session"].(string); session && (sent == "" || sent != m.session) || !session && sent != "" {
			return nil, errors.New("the session of the run before is not where it should be")
		}
		return []string{requestLine(x.Exchange) + "  " + credentials(x.Exchange), fields(body)}, nil
	}}
}

// prompts waits for an answer of Stile to POST path that asks for typ.
func prompts(title, path, typ string, more func(*memory) ([]string, error)) step {
	return step{title, accepted(path), func(m *memory, x moment) ([]string, error) {
		v, err := progress(x)
		if err != nil {
			return nil, err
		}
		if v.NextStep == nil || v.NextStep.Type != typ {
			return nil, fmt.Errorf("Stile asks for %s and not for %s", asks(v), typ)
		}
		lines := append(m.takeWrong(), fmt.Sprintf("%d  nextStep %s (%s)  acr=%s amr=%v", x.Status, v.NextStep.Type, v.NextStep.StepID, v.acr(), v.Assurance.AMR))
		if more == nil {
			return lines, nil
		}
		extra, err := more(m)
		return append(lines, extra...), err
	}}
}

func asks(v view) string {
	if v.NextStep == nil {
		return "nothing (the run is " + v.Flow.Status + ")"
	}
	return v.NextStep.Type
}

// progress reads a success of the flow API.
func progress(x moment) (view, error) {
	v, err := viewOf(x.ResponseBody)
	if x.Status != http.StatusOK && x.Status != http.StatusCreated {
		return v, fmt.Errorf("Stile answered %d %s", x.Status, v.Code)
	}
	return v, err
}

func submits(title, path string) step {
	return step{title, asked(whoApp, http.MethodPost, path), func(_ *memory, x moment) ([]string, error) {
		return []string{requestLine(x.Exchange) + "  " + credentials(x.Exchange), fields(object(x.RequestBody))}, nil
	}}
}

func completes(path string) step {
	return step{"the flow is completed", accepted(path), func(m *memory, x moment) ([]string, error) {
		v, err := progress(x)
		if err != nil {
			return nil, err
		}
		if v.Flow.Status != "completed" || v.Result == nil || v.Result.Grant.Token == "" {
			return nil, fmt.Errorf("the run is %s, Stile asks for %s", v.Flow.Status, asks(v))
		}
		g := v.Result.Grant
		return append(m.takeWrong(), fmt.Sprintf("%d  completed  acr=%s amr=%v  %s %s (scheme %s)  session %s",
			x.Status, v.acr(), v.Assurance.AMR, g.Type, short(g.Token), g.Scheme, short(v.Result.Session))), nil
	}}
}

func opens(title, path, acr string) step {
	return step{title, answered(whoApp, http.MethodGet, path), func(m *memory, x moment) ([]string, error) {
		if x.Status != http.StatusOK {
			return nil, fmt.Errorf("the API answered %d %v", x.Status, object(x.ResponseBody)["code"])
		}
		_, token, _ := strings.Cut(x.RequestHeader.Get("Authorization"), " ")
		if token == "" || token != m.token {
			return nil, errors.New("the app did not present the token of this run")
		}
		if err := checkClaims(token, acr); err != nil {
			return nil, err
		}
		return []string{
			requestLine(x.Exchange) + "  " + credentials(x.Exchange),
			fmt.Sprintf("200  %v", object(x.ResponseBody)["resource"]),
		}, nil
	}}
}

// checkClaims looks whether a token says all that it should.
func checkClaims(token, acr string) error {
	claims, err := claimsOf(token)
	if err != nil {
		return err
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid", "acr", "amr", "auth_time", "client_id"} {
		if claims[name] == nil {
			return fmt.Errorf("the token has no claim %s", name)
		}
	}
	if claims["acr"] != acr {
		return fmt.Errorf("the token says acr %v and not %s", claims["acr"], acr)
	}
	return nil
}

// signsOn are the steps of a sign-on in short, for the runs after the first.
func signsOn() []step {
	return []step{
		prompts("Stile asks for a sign-on at the provider", "/v1/flows", "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED", takeRequest),
		{"the browser comes back with a code", redirected, returnsCode},
		submits("the app forwards the answer", "/v1/flow/steps/sso"),
	}
}

// takeRequest remembers the authorization request of the current prompt.
func takeRequest(m *memory) ([]string, error) {
	data := m.view.NextStep.Data
	m.request, _ = data["parameters"].(map[string]any)
	m.provider, _ = data["authorizationEndpoint"].(string)
	m.redirect, _ = data["redirectUri"].(string)
	if uri := m.request["request_uri"]; uri != nil && m.pushed != nil {
		m.request = m.pushed
		m.request["request_uri"] = uri
	}
	for _, name := range []string{"client_id", "state", "nonce", "code_challenge", "redirect_uri"} {
		if text, _ := m.request[name].(string); text == "" {
			return nil, fmt.Errorf("the authorization request has no %s", name)
		}
	}
	if m.request["code_challenge_method"] != "S256" {
		return nil, fmt.Errorf("code_challenge_method is %v", m.request["code_challenge_method"])
	}
	return nil, nil
}

// pushed are the parameters of a request that went to the provider directly; who
// asks is not one of them.
func pushed(x moment) map[string]any {
	form, err := url.ParseQuery(string(x.RequestBody))
	if err != nil {
		return nil
	}
	form.Del("client_secret")
	form.Del("client_assertion")
	return flat(form)
}

// returnsCode checks the redirect back to the app (RFC 6749 §4.1.2, RFC 9207).
func returnsCode(m *memory, x moment) ([]string, error) {
	u, err := url.Parse(x.ResponseHeader.Get("Location"))
	if err != nil {
		return nil, err
	}
	q := u.Query()
	if q.Get("code") == "" || q.Get("state") != m.request["state"] {
		return nil, fmt.Errorf("there is no code, or another state: %s", fields(flat(q)))
	}
	m.returned = u.RawQuery
	return []string{fmt.Sprintf("%d  Location: %s?  %s", x.Status, m.redirect, fields(flat(q)))}, nil
}

// isS256 checks a PKCE verifier (RFC 7636 §4.6).
func isS256(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// without forbids exchanges of somebody in a run.
func without(who, why string) func(*memory, moment) error {
	return func(_ *memory, x moment) error {
		if x.Who == who {
			return fmt.Errorf("%s: %s", why, requestLine(x.Exchange))
		}
		return nil
	}
}

// withoutPrompt forbids a type of nextStep in a run.
func withoutPrompt(typ, why string) func(*memory, moment) error {
	return func(m *memory, _ moment) error {
		if slices.Contains(m.seen, typ) {
			return errors.New(why)
		}
		return nil
	}
}
