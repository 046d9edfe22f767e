package oidctest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// authorizationRequest is a request that was found in order.
type authorizationRequest struct {
	client       *Client
	redirectURI  string
	responseMode string
	state        string
	nonce        string
	challenge    string // S256, or "" without PKCE
	scopes       []string
	prompt       []string
	maxAge       time.Duration // -1: not asked for
	loginHint    string
	subject      string // of the id_token_hint, or ""
	proofKey     string // dpop_jkt
}

func (r authorizationRequest) prompts(value string) bool { return slices.Contains(r.prompt, value) }

// authorize is the authorization endpoint (OpenID Connect Core section 3.1.2).
func (p *Provider) authorize(c *gin.Context) {
	in, problem := requestParams(c.Request)
	if problem != nil {
		p.errorPage(c, http.StatusBadRequest, problem.code, problem.description)
		return
	}
	in, problem = p.resolve(in)
	if problem != nil {
		p.errorPage(c, http.StatusBadRequest, problem.code, problem.description)
		return
	}
	req, problem := p.recognise(in)
	if problem != nil {
		p.errorPage(c, http.StatusBadRequest, problem.code, problem.description)
		return
	}
	if problem := p.fill(&req, in); problem != nil {
		p.respondError(c, req, problem)
		return
	}
	pending := interaction{
		request: req, csrf: newSecret(), browser: digestOf(p.browser(c)),
		expires: p.cfg.Now().Add(interactionTTL),
	}
	p.proceed(c, p.state.addInteraction(pending, p.cfg.Now()), pending)
}

// recognise finds out who asks and where the answer goes. Until both are known
// to belong together nothing may be redirected (RFC 6749 section 3.1.2.4).
func (p *Provider) recognise(in params) (authorizationRequest, *oauthError) {
	if in.repeated("client_id", "redirect_uri") {
		return authorizationRequest{}, invalidRequest("client_id or redirect_uri is repeated")
	}
	client := p.cfg.client(in.get("client_id"))
	if client == nil {
		return authorizationRequest{}, invalidRequest("the client is unknown")
	}
	uri := in.get("redirect_uri")
	if !registered(client.RedirectURIs, uri) {
		return authorizationRequest{}, invalidRequest("the redirect URI is not registered for this client")
	}
	return authorizationRequest{client: client, redirectURI: uri, responseMode: "query"}, nil
}

// fill reads the rest of the request. What is needed to answer an error is
// read first.
func (p *Provider) fill(req *authorizationRequest, in params) *oauthError {
	if !in.repeated("state") {
		req.state = in.get("state")
	}
	switch mode := in.get("response_mode"); {
	case in.repeated("response_mode"):
	case slices.Contains(responseModes(), mode):
		req.responseMode = mode
	case mode != "":
		return invalidRequest("the response_mode is not supported")
	}
	for _, check := range []func(*authorizationRequest, params) *oauthError{
		p.fillShape, p.fillScopes, p.fillPKCE, p.fillPrompt, p.fillHint,
	} {
		if problem := check(req, in); problem != nil {
			return problem
		}
	}
	return nil
}

func (p *Provider) fillShape(req *authorizationRequest, in params) *oauthError {
	switch {
	case in.repeated():
		return invalidRequest("a parameter is repeated")
	case in.get("request") != "":
		return &oauthError{code: "request_not_supported", description: "request objects are not supported"}
	case in.get("request_uri") != "":
		return &oauthError{code: "request_uri_not_supported", description: "request objects are not supported"}
	case in.get("registration") != "":
		return &oauthError{code: "registration_not_supported", description: "registration is not supported"}
	case in.get("response_type") == "":
		return invalidRequest("response_type is missing")
	case in.get("response_type") != "code":
		return &oauthError{code: "unsupported_response_type", description: "the only response_type is code"}
	}
	req.nonce = in.get("nonce")
	req.loginHint = in.get("login_hint")
	req.proofKey = in.get("dpop_jkt")
	return nil
}

// fillScopes ignores scopes that nobody knows (OpenID Connect Core section
// 3.1.2.1) and refuses those that this client may not have.
func (p *Provider) fillScopes(req *authorizationRequest, in params) *oauthError {
	known := p.cfg.scopes()
	for _, scope := range in.fields("scope") {
		switch {
		case slices.Contains(req.scopes, scope) || !slices.Contains(known, scope):
		case !slices.Contains(req.client.AllowedScopes, scope):
			return invalidScope("the client may not ask for the scope " + strconv.Quote(scope))
		default:
			req.scopes = append(req.scopes, scope)
		}
	}
	if p.signsOn() && !slices.Contains(req.scopes, "openid") {
		return invalidScope("the scope openid is missing")
	}
	if s := p.cfg.Shape; s != nil && !s.allows(req.scopes, req.responseMode) {
		return invalidRequest("these scopes need the response_mode form_post")
	}
	return nil
}

// fillPKCE takes S256 only (RFC 7636 section 4.4.1). A missing method would
// mean plain (section 4.3).
func (p *Provider) fillPKCE(req *authorizationRequest, in params) *oauthError {
	challenge, method := in.get("code_challenge"), in.get("code_challenge_method")
	if challenge == "" {
		if method != "" || req.client.Secret == "" && req.client.Auth == "" {
			return invalidRequest("code challenge required")
		}
		return nil
	}
	if method != "S256" {
		return invalidRequest("transform algorithm not supported")
	}
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(raw) != 32 {
		return invalidRequest("code_challenge is not a SHA-256 hash in base64url")
	}
	req.challenge = challenge
	return nil
}

func (p *Provider) fillPrompt(req *authorizationRequest, in params) *oauthError {
	req.prompt = in.fields("prompt")
	for _, value := range req.prompt {
		if !slices.Contains(promptValues(), value) {
			return invalidRequest("the prompt is not supported")
		}
	}
	if req.prompts("none") && len(req.prompt) > 1 {
		return invalidRequest("prompt none does not go with others")
	}
	req.maxAge = -1
	if text := in.get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return invalidRequest("max_age is not a number of seconds")
		}
		req.maxAge = time.Duration(seconds) * time.Second
	}
	return nil
}

func (p *Provider) fillHint(req *authorizationRequest, in params) *oauthError {
	hint := in.get("id_token_hint")
	if hint == "" {
		return nil
	}
	claims, err := p.readHint(hint)
	if err != nil {
		return invalidRequest("the id_token_hint is not an ID token of this provider")
	}
	req.subject = claims.Subject
	return nil
}

func responseModes() []string { return []string{"query", "fragment", "form_post"} }

func promptValues() []string { return []string{"none", "login", "consent", "select_account"} }
