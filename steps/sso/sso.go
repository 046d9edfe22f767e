// Package sso is the step "sso": the person signs on at a remote OpenID provider.
package sso

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient"
)

const doc = `Signs the person on at a remote OpenID provider.

The step asks for an authorization request; the app opens it in the system
browser, and posts back the query of the redirect, as it came.

	prompt  OAUTH2_CLIENT_AUTHORIZATION_REQUIRED
	        {"provider", "authorizationRequestUri", "authorizationEndpoint",
	         "parameters", "redirectUri", "responseMode", "expiresAt"}
	answer  {"queryString": "code=...&state=...&iss=..."}, or one of
	        {"form": {"code": "...", "state": "..."}}  the fields of a form that was
	                                                   posted to the redirect URI
	        {"again": true}      a fresh request: the last one is void
	        {"cancelled": true}  the person has closed the browser

The provider says how its answer comes back: as the query of the redirect URI, as its
fragment, which goes into queryString all the same, or as a form (responseMode query,
fragment or form_post).

	with    provider: name of an entry of "providers"
	        max_age:  greatest age of the sign-on at the provider; optional
	        acr_values: what the provider is asked to reach, in its own words,
	                  the first most; optional
	        unmet:    what follows if it says none of these: accept (what it did
	                  say is mapped; default), again (the person is sent there
	                  once more, to sign on anew; then exit), or exit
	        prompt:   what the provider is asked to do: login, consent or
	                  select_account; optional
	        login_hint: true tells the provider the name that was typed before

	exits   denied:      the provider or the person refuses, or nobody is known
	        cancelled:   the person did not go through with it
	        unmet:       it says none of acr_values, and that is not accepted
	        unavailable: the provider cannot be used now

The redirect URI is the one that the app named at the start, or the client's first; or
the one that the client has for this provider alone. Then the answer also says where the
browser came back to ("redirectUri"), and one that came to another place is a wrong answer:
another provider has sent it. State, nonce and PKCE verifier stay here.
A request is good for ten minutes. A response with another state or issuer is a
wrong answer and leaves the request as it is: one that was slipped in does not end
the sign-on. A code is sent to the provider once. While it is, a second answer is
told so (409); if the exchange came to nothing, because the provider failed or
this node died, the next answer gets a fresh request instead.

What an unknown identity (issuer and subject, never an e-mail address) comes to
is the provider's "provision": with create, an account and its link; otherwise the
exit "denied". A provider that is down is 503 where the exit "unavailable" leads
nowhere.

A plain OAuth 2.0 provider says nothing of when a person signed on there: where that
is asked, by max_age here or of the run, the exit "unmet" is taken at once.

It proves what the provider is configured to prove, up to its cap: by the first
entry of its assurance.map that fits what it says, or else the least. What the
provider says of the sign-on is kept for audit and copied into nothing.

Scenarios: ok, wrong (another state), denied, cancelled, again.
`

const (
	requestLife   = 10 * time.Minute
	exitDenied    = "denied"
	exitCancelled = "cancelled"
	exitUnmet     = "unmet"
)

// Type returns the step type. An unknown provider fails when the step is
// entered; definitions that name one do not load.
func Type(providers Providers, accounts Accounts) flows.StepType {
	return flows.StepType{
		Name:     "sso",
		Doc:      doc,
		Code:     "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED",
		Config:   flowdefs.SchemaFor[config](),
		Prompt:   flowdefs.SchemaFor[prompt](),
		Input:    flowdefs.SchemaFor[answer](),
		Alters:   true,
		Evidence: []assurance.Ceiling{Ceiling()},
		Ceilings: ceilings,
		Exits:    []string{exitDenied, exitCancelled, exitUnmet},
		Provider: providerOf,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			var c config
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if c.MaxAge < 0 {
				return nil, errors.New("sso: max_age is negative")
			}
			if c.Unmet != "" && len(c.ACRValues) == 0 {
				return nil, errors.New("sso: unmet without acr_values")
			}
			return &step{cfg: c, providers: providers, owners: owners{accounts}}, nil
		},
		Actor: actor,
	}
}

type config struct {
	Provider  string        `yaml:"provider" ref:"provider" doc:"Name of the provider."`
	MaxAge    time.Duration `yaml:"max_age,optional" doc:"Greatest age of the sign-on at the provider."`
	ACRValues []string      `yaml:"acr_values,optional" doc:"What the provider is asked to reach, in its own words, the first most."`
	Prompt    string        `yaml:"prompt,optional" enum:"login,consent,select_account" doc:"What the provider is asked to do."`
	LoginHint bool          `yaml:"login_hint,optional" doc:"Tells the provider the name that was typed before."`
	Unmet     string        `yaml:"unmet,optional" enum:"accept,again,exit" doc:"What follows if it says none of acr_values; accept if absent."`
}

// providerOf names the provider of one configured step.
func providerOf(cfg flowdefs.Config) string {
	var c config
	if err := cfg.Decode(&c); err != nil {
		return "" // cannot happen: New has decoded it
	}
	return c.Provider
}

type answer struct {
	QueryString string            `json:"queryString,omitempty" minLength:"1" maxLength:"16384" doc:"The query or the fragment of the redirect, as it came."`
	Form        map[string]string `json:"form,omitempty" doc:"The fields of a form that was posted to the redirect URI."`
	Redirect    string            `json:"redirectUri,omitempty" maxLength:"1024" doc:"Where the browser came back to. Required where the provider has a redirect URI of its own."`
	Again       bool              `json:"again,omitempty" doc:"Asks for a fresh request."`
	Cancelled   bool              `json:"cancelled,omitempty" doc:"The person has closed the browser."`
}

type prompt struct {
	Provider   string            `json:"provider" doc:"Its name in the definitions."`
	RequestURI string            `json:"authorizationRequestUri" doc:"To be opened in the system browser."`
	Endpoint   string            `json:"authorizationEndpoint" doc:"The request in parts: where it goes."`
	Parameters map[string]string `json:"parameters" doc:"The request in parts: what it says."`
	Redirect   string            `json:"redirectUri" doc:"Where the browser comes back to."`
	Mode       string            `json:"responseMode" doc:"How the answer comes back: query, fragment or form_post."`
	ExpiresAt  time.Time         `json:"expiresAt" doc:"How long the request is good."`
}

// pending is what the step remembers: the request that waits for its response.
type pending struct {
	Request oidcclient.Request `json:"request"`
	Expires time.Time          `json:"expires"`
	Anew    bool               `json:"anew,omitempty"` // the person was sent back to sign on anew
}

type step struct {
	owners

	cfg       config
	providers Providers
	links     bool // it is account_link: the identity is tied to whoever is there
}

// Enter asks for a sign-on.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	p, err := s.providers.Find(s.cfg.Provider)
	if err != nil {
		return flows.Outcome{}, err
	}
	if s.links && v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	if !s.links && p.OAuth2 && (s.cfg.MaxAge > 0 || v.MaxAge != nil) {
		return flows.Exit(exitUnmet), nil
	}
	asked, err := s.request(ctx, v, p, false)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(asked), nil
}

// redirect is where the provider sends the browser back to: the app's own address, or
// ours, one for each provider, if the browser runs the flow (RFC 9700 §2.1).
func (s *step) redirect(v *flows.Visit) (string, error) {
	if v.Callback != "" {
		return v.Callback + "/" + s.cfg.Provider, nil
	}
	redirect := v.Client.RedirectFor(s.cfg.Provider, v.Redirect)
	if redirect == "" {
		return "", fmt.Errorf("sso: client %s has no redirect URI", v.Client.ID)
	}
	return redirect, nil
}

// request makes and keeps an authorization request; the one before is void.
// Anew asks for a sign-on although there is one.
func (s *step) request(ctx context.Context, v *flows.Visit, p Provider, anew bool) (flows.Prompt, error) {
	redirect, err := s.redirect(v)
	if err != nil {
		return flows.Prompt{}, err
	}
	o := oidcclient.RequestOptions{
		RedirectURI: redirect, Server: v.Callback != "", ACRValues: s.cfg.ACRValues, Prompt: cmp.Or(s.cfg.Prompt, p.Request.Prompt),
		DomainHint: p.Request.DomainHint, Claims: p.Request.Claims, Parameters: p.Request.Parameters,
	}
	if s.cfg.LoginHint {
		o.LoginHint = v.Identifier
	}
	if anew {
		o.Prompt = "login"
	}
	if v.Locale != "" {
		o.Locales = []string{v.Locale}
	}
	if !s.links { // what is linked proves nothing, however old
		o.MaxAge = v.MaxAge
	}
	if s.cfg.MaxAge > 0 && (o.MaxAge == nil || s.cfg.MaxAge < *o.MaxAge) {
		o.MaxAge = &s.cfg.MaxAge
	}
	a, err := p.Client.AuthorizationRequest(ctx, o)
	if err != nil {
		return flows.Prompt{}, fmt.Errorf("%w: sso: %w", flows.ErrUnavailable, err)
	}
	expires := v.Now.Add(requestLife).UTC()
	data := prompt{s.cfg.Provider, a.URL, a.Endpoint, a.Parameters, o.RedirectURI, string(a.Mode), expires}
	return flows.Prompt{Data: data}, v.Keep(pending{a.Request, expires, anew})
}

// refuse rejects an answer and asks for another sign-on: the request is used up.
func (s *step) refuse(ctx context.Context, v *flows.Visit, p Provider, reason string) (flows.Outcome, error) {
	var waits pending
	if err := v.Kept(&waits); err != nil {
		return flows.Outcome{}, fmt.Errorf("sso: request: %w", err)
	}
	again, err := s.request(ctx, v, p, waits.Anew)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Reject(reason, &again), nil
}

// Answer takes the response to the authorization request.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	var waits pending
	if err := v.Kept(&waits); err != nil {
		return flows.Outcome{}, fmt.Errorf("sso: request: %w", err)
	}
	p, err := s.providers.Find(s.cfg.Provider)
	if err != nil {
		return flows.Outcome{}, err
	}
	if !v.Now.Before(waits.Expires) {
		return s.Enter(ctx, v)
	}
	query, err := a.response()
	if err != nil {
		return flows.Outcome{}, err
	}
	switch {
	case a.Cancelled:
		return flows.Exit(exitCancelled), nil
	case a.Again:
		asked, err := s.request(ctx, v, p, waits.Anew)
		return flows.Ask(asked), err
	}
	own := v.Callback == "" && v.Client.ProviderRedirects[s.cfg.Provider] != "" // our pages know whose address they are
	if !a.cameBack(waits.Request.RedirectURI, own) {
		return flows.Reject("redirect", nil), nil
	}
	code, err := p.Client.Receive(ctx, waits.Request, query)
	if err != nil {
		return received(p, err)
	}
	return s.exchange(ctx, v, p, waits.Request, code)
}

// response is the authorization response in an answer, which is one thing and no other.
func (a answer) response() (string, error) {
	given := 0
	for _, there := range []bool{a.QueryString != "", a.Form != nil, a.Again, a.Cancelled} {
		if there {
			given++
		}
	}
	if given != 1 {
		return "", fmt.Errorf("%w: sso: expected one of queryString, form, again and cancelled", flows.ErrMalformed)
	}
	if a.Form == nil {
		return a.QueryString, nil
	}
	form := url.Values{}
	for name, value := range a.Form {
		form.Set(name, value)
	}
	return form.Encode(), nil
}

// cameBack says whether the answer came to the place that it was asked to come to. A
// provider with a place of its own is known by it (RFC 9700 §4.4.2.2): what came to
// another place, or to nobody knows which, came from another provider.
func (a answer) cameBack(asked string, own bool) bool {
	return a.Redirect == asked || a.Redirect == "" && !own
}

// received says what a response without a code comes to.
func received(p Provider, err error) (flows.Outcome, error) {
	var answered *oidcclient.AuthorizationError
	switch {
	case errors.Is(err, oidcclient.ErrIncomplete):
		return flows.Outcome{}, fmt.Errorf("%w: sso: %w", flows.ErrMalformed, err)
	case errors.Is(err, oidcclient.ErrResponse):
		return flows.Reject("response", nil), nil
	case errors.As(err, &answered) && (slices.Contains(p.Cancelled, answered.Code) || slices.Contains(notGoneThrough(), answered.Code)):
		return flows.Exit(exitCancelled), nil
	case errors.As(err, &answered) && answered.Code != "server_error" && answered.Code != "temporarily_unavailable":
		return flows.Exit(exitDenied), nil
	}
	return flows.Outcome{}, fmt.Errorf("%w: sso: %w", flows.ErrUnavailable, err)
}

// notGoneThrough are the codes of OpenID Connect Core §3.1.2.6 for a person who has
// not done what the provider asks of them.
func notGoneThrough() []string {
	return []string{"login_required", "interaction_required", "consent_required", "account_selection_required"}
}

// pass completes the step for the account that the identity belongs to.
func (s *step) pass(ctx context.Context, v *flows.Visit, p Provider, id oidcclient.Identity) (flows.Outcome, error) {
	if s.cfg.Unmet != "" && s.cfg.Unmet != "accept" && !slices.Contains(s.cfg.ACRValues, id.ACR) {
		return s.unmet(ctx, v, p)
	}
	if s.links {
		return s.link(ctx, v, p, id)
	}
	proof, err := p.Proof(ctx, v, s.accounts, id)
	if errors.Is(err, ErrUnknown) {
		return flows.Exit(exitDenied), nil
	}
	return flows.Pass(proof), err
}

// unmet sends the person back once, if the definition says so: what was asked
// for is checked in the answer, and the request proves nothing (Core §5.5.1.1).
func (s *step) unmet(ctx context.Context, v *flows.Visit, p Provider) (flows.Outcome, error) {
	var waits pending
	if err := v.Kept(&waits); err != nil {
		return flows.Outcome{}, fmt.Errorf("sso: request: %w", err)
	}
	if s.cfg.Unmet != "again" || waits.Anew {
		return flows.Exit(exitUnmet), nil
	}
	asked, err := s.request(ctx, v, p, true)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(asked), nil
}

// actor plays the app: the code is the word "ok", which a scenario's provider takes.
func actor(state json.RawMessage, how string) (json.RawMessage, error) {
	var p prompt
	if err := json.Unmarshal(state, &p); err != nil {
		return nil, fmt.Errorf("sso: actor: %w", err)
	}
	query := map[string]string{
		"ok":     "code=ok&state=" + p.Parameters["state"],
		"wrong":  "code=ok&state=another",
		"denied": "error=access_denied&state=" + p.Parameters["state"],
	}[how]
	if query == "" {
		other := map[string]answer{"cancelled": {Cancelled: true}, "again": {Again: true}}
		if a, known := other[how]; known {
			return json.Marshal(a)
		}
		return nil, fmt.Errorf("sso: the actor does not know %q", how)
	}
	return json.Marshal(answer{QueryString: query, Redirect: p.Redirect})
}
