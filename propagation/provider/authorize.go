package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

const (
	modeQuery = "query"
	modeForm  = "form_post"

	promptNone   = "none"
	promptLogin  = "login"
	promptSelect = "select_account"

	maxQuery = 4096 // of a form that can as well be a query; more than that proxies may refuse

	scopeOpenID  = "openid"
	scopeOffline = "offline_access"
)

// request is an authorization request, as far as it is needed later: the run keeps it.
type request struct {
	Client    string   `json:"client"`
	Redirect  string   `json:"redirect"`
	Mode      string   `json:"mode"`
	State     string   `json:"state,omitempty"`
	Nonce     string   `json:"nonce,omitempty"`
	Challenge string   `json:"challenge"`
	Scope     []string `json:"scope,omitempty"`
	Key       string   `json:"key,omitempty"`     // that the code is bound to (RFC 9449 §10)
	Subject   string   `json:"subject,omitempty"` // that id_token_hint names
}

// authorize answers the authorization endpoint.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q, ok := parameters(w, r)
	if !ok {
		s.cfg.Pages.Refuse(w, r, http.StatusBadRequest, "page.unreadable")
		return
	}
	if r.Method == http.MethodPost && len(q.Encode()) <= maxQuery {
		// A form of another site comes without the cookie of the session; what the browser is led to comes with it.
		w.Header().Set("Location", PathAuthorize+"?"+q.Encode())
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	// Until the client and its redirect URI are known to be right, nothing is sent anywhere.
	c, err := s.client(r.Context(), q.Get("client_id"))
	if err != nil {
		s.cfg.Pages.Fail(w, r, err)
		return
	}
	if c == nil || len(q["client_id"]) != 1 || !slices.Contains(c.OAuth.Grants, flowdefs.GrantCode) {
		s.cfg.Pages.Refuse(w, r, http.StatusBadRequest, "page.unknown_client")
		return
	}
	if len(q["redirect_uri"]) != 1 || !c.Redirects(q.Get("redirect_uri")) {
		s.cfg.Pages.Refuse(w, r, http.StatusBadRequest, "page.foreign_redirect")
		return
	}
	a := &request{Client: c.ID, Redirect: q.Get("redirect_uri"), Mode: modeQuery, State: q.Get("state")}
	start, f := s.read(r.Context(), a, c, q)
	if f != nil {
		s.respond(w, r, a, "", f)
		return
	}
	s.start(w, r, a, start, q)
}

// start starts the run, and gives it to the browser.
func (s *Server) start(w http.ResponseWriter, r *http.Request, a *request, start flows.StartRequest, q url.Values) {
	kept, err := json.Marshal(a)
	if err != nil {
		s.respond(w, r, a, "", failureOf(err))
		return
	}
	start.Code, start.Capabilities = kept, s.cfg.Pages.Draws()
	prompts := strings.Fields(q.Get("prompt"))
	if !slices.Contains(prompts, promptSelect) {
		start.Session = s.cfg.Pages.Session(r)
	}
	caller := flows.Caller{RequestID: w.Header().Get("X-Request-Id")}
	v, err := s.cfg.Engine.Start(r.Context(), caller, start)
	var pr *flows.Problem
	if errors.As(err, &pr) && pr.View != nil {
		v = *pr.View
	}
	if err != nil {
		s.respond(w, r, a, "", failureOf(err))
		return
	}
	if v.Flow.Status == flows.InProgress && slices.Contains(prompts, promptNone) {
		code := errLogin
		if len(v.Assurance.AMR) > 0 {
			code = errInteraction
		}
		if _, err := s.cfg.Engine.Cancel(r.Context(), v.Handle, caller); err != nil {
			s.respond(w, r, a, "", failureOf(err))
			return
		}
		s.respond(w, r, a, "", fail(code, "somebody has to do something"))
		return
	}
	s.cfg.Pages.Begin(w, r, v)
}

// read takes the rest of a request: what is wrong with it the client is told.
func (s *Server) read(ctx context.Context, a *request, c *flowdefs.Client, q url.Values) (flows.StartRequest, *failure) {
	start := flows.StartRequest{ClientID: c.ID}
	for name, values := range q {
		if len(values) > 1 && name != "resource" {
			return start, fail(errRequest, "a parameter stands there twice")
		}
	}
	switch mode := q.Get("response_mode"); mode {
	case "", modeQuery:
	case modeForm:
		a.Mode = modeForm
	default:
		return start, fail(errRequest, "this response_mode is not supported")
	}
	switch {
	case q.Get("response_type") != "code":
		return start, fail(errResponseType, "the response_type is code")
	case q.Has("request"):
		return start, fail("request_not_supported", "request objects are not supported")
	case q.Has("request_uri"):
		return start, fail("request_uri_not_supported", "request_uri is not supported")
	case q.Has("registration"):
		return start, fail("registration_not_supported", "registration is not supported")
	case q.Get("code_challenge_method") != "S256" || !isDigest(q.Get("code_challenge")):
		return start, fail(errRequest, "a code_challenge by S256 is required")
	case q.Has("dpop_jkt") && !isDigest(q.Get("dpop_jkt")):
		return start, fail(errRequest, "dpop_jkt is no thumbprint")
	}
	a.Nonce, a.Challenge, a.Key = q.Get("nonce"), q.Get("code_challenge"), q.Get("dpop_jkt")
	a.Scope = granted(c, strings.Fields(q.Get("scope")))
	t, f := s.target(c, q["resource"])
	if f != nil {
		return start, f
	}
	start.Target, start.LoginHint = t.Name, q.Get("login_hint")
	start.Locale, _, _ = strings.Cut(q.Get("ui_locales"), " ")
	if f := s.wishes(ctx, a, &start, q); f != nil {
		return start, f
	}
	return start, nil
}

// wishes takes what the client asks of the sign-in.
func (s *Server) wishes(ctx context.Context, a *request, start *flows.StartRequest, q url.Values) *failure {
	prompts := strings.Fields(q.Get("prompt"))
	for _, p := range prompts {
		if p != promptLogin && p != promptSelect && p != "consent" && (p != promptNone || len(prompts) > 1) {
			return fail(errRequest, "this prompt is not supported")
		}
	}
	if text := q.Get("max_age"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return fail(errRequest, "max_age is a number of seconds")
		}
		age := time.Duration(n) * time.Second
		start.MaxAge = &age
	}
	if slices.Contains(prompts, promptLogin) {
		now := time.Duration(0)
		start.MaxAge = &now
	}
	start.ACRValues, start.Voluntary = strings.Fields(q.Get("acr_values")), true
	if f := necessary(start, q.Get("claims")); f != nil {
		return f
	}
	if hint := q.Get("id_token_hint"); hint != "" {
		said, err := s.hint(ctx, hint)
		if err != nil {
			return fail(errRequest, "id_token_hint is no ID token of ours")
		}
		a.Subject = said.Subject
	}
	return nil
}

// necessary takes the levels that are asked for as an essential claim (OpenID Connect Core 1.0 §5.5.1.1).
func necessary(start *flows.StartRequest, claims string) *failure {
	if claims == "" {
		return nil
	}
	var asked struct {
		IDToken map[string]*struct {
			Essential bool     `json:"essential"`
			Value     string   `json:"value"`
			Values    []string `json:"values"`
		} `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(claims), &asked); err != nil {
		return fail(errRequest, "claims cannot be read")
	}
	acr := asked.IDToken["acr"]
	if acr == nil {
		return nil
	}
	values := acr.Values
	if acr.Value != "" {
		values = append([]string{acr.Value}, values...)
	}
	if len(values) > 0 {
		start.ACRValues, start.Voluntary = values, !acr.Essential
	}
	return nil
}

// Return answers the relying party when its run has ended: with the code, or with why there is none.
func (s *Server) Return(w http.ResponseWriter, r *http.Request, v flows.View, why string) {
	var a request
	if err := json.Unmarshal(v.Request, &a); err != nil {
		s.cfg.Pages.Fail(w, r, fmt.Errorf("a run without its request: %w", err))
		return
	}
	switch {
	case v.Flow.Status == flows.Completed && v.Result != nil && v.Result.Grant != nil:
		s.respond(w, r, &a, v.Result.Grant.Token, nil)
	case why == flows.CodeUnmet:
		s.respond(w, r, &a, "", fail(errUnmet, "what is asked for cannot be reached"))
	default:
		s.respond(w, r, &a, "", fail(errDenied, "the sign-in was not completed"))
	}
}

// Target is where Return sends the browser.
func (s *Server) Target(v flows.View) string {
	var a request
	if json.Unmarshal(v.Request, &a) != nil {
		return ""
	}
	return a.Redirect
}

// respond sends the browser back with a code or a failure, always with the issuer (RFC 9207).
func (s *Server) respond(w http.ResponseWriter, r *http.Request, a *request, code string, f *failure) {
	fields := url.Values{"iss": {s.cfg.Issuer}}
	if a.State != "" {
		fields.Set("state", a.State)
	}
	if f != nil {
		fields.Set("error", f.Code)
		fields.Set("error_description", f.Description)
	} else {
		fields.Set("code", code)
	}
	u, err := url.Parse(a.Redirect)
	if err != nil {
		s.cfg.Pages.Fail(w, r, err)
		return
	}
	if a.Mode == modeForm {
		s.cfg.Pages.PostOn(w, r, a.Redirect, fields)
		return
	}
	query := u.Query()
	maps.Copy(query, fields)
	u.RawQuery = query.Encode()
	w.Header().Set("Location", u.String())
	w.WriteHeader(http.StatusSeeOther)
}

// parameters are those of a GET or of a POST (OpenID Connect Core 1.0 §3.1.2.1).
func parameters(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if r.Method == http.MethodGet {
		q, err := url.ParseQuery(r.URL.RawQuery)
		return q, err == nil && len(r.URL.RawQuery) <= maxForm
	}
	return form(w, r)
}
