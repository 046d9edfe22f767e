// Package externaltoken is the step "external_token": the app hands over the token that
// another server has issued to it.
package externaltoken

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/steps/sso"
)

const doc = `Takes the token of a person who has signed on in the app at another server.

The app signs the person on with that server's own software, and posts the token that it
got. The flow goes on after it: what the person may do is for later steps to say.

	prompt  EXTERNAL_TOKEN_REQUIRED
	        {"provider", "accept", "nonce"}  nonce only where one is required: the app
	                                         passes it to the server's software
	answer  {"idToken": "..."}      where accept is id_token
	        {"accessToken": "..."}  where accept is introspection or userinfo

	with    provider: name of an entry of "providers"
	        apps:     the client ids that are yours there, of the apps and of the
	                  server that they ask tokens for; required
	        accept:   id_token (default): checked here, by the provider's keys;
	                  introspection: the provider is asked (RFC 7662);
	                  userinfo: it is asked in its own words, by its token_info
	        nonce:    required (default) or none, for software that takes none;
	                  of ID tokens alone
	        max_age:  greatest age of an ID token by its iat; default 5m

	exits   denied:      the provider is right, and nobody is known by that identity
	        unmet:       the run wants a sign-on that is more recent
	        unavailable: the provider cannot be used now

An ID token must be signed by a published key of the provider, name it as its issuer,
have one of apps as its only audience and, if it says so, as its authorized party, be in
time and hold the nonce. Of an access token the provider must say that it is active, in
time, for apps and issued to one of them. That it answers UserInfo is not enough: so do
the tokens of any other app (RFC 9700 section 4.10). Where UserInfo is what there is, the
provider's token_info says first whom the token was issued to, whose it is and until when,
and UserInfo must name the same person. A token that is bound to a key is refused: nobody
has shown that key here.

Each token is taken once, by its jti or by what is signed. A token that is refused is 401
external_token_refused, and does not say why. If the provider cannot be asked it is 503,
and nothing is granted.

What an unknown identity comes to, what accounts have of it, and what it proves are the
provider's, as for the step sso.

Scenarios: ok, wrong (changed), another-app, denied (of somebody whom nobody knows), replayed.
`

const (
	exitDenied = "denied"
	exitUnmet  = "unmet"

	acceptIDToken       = "id_token"
	acceptIntrospection = "introspection"
	acceptUserInfo      = "userinfo"

	nonceRequired = "required"
	nonceNone     = "none"

	defaultMaxAge = 5 * time.Minute
	longestMaxAge = time.Hour
	limit         = 15 * time.Second // of asking the provider
)

// Type returns the step type.
func Type(providers sso.Providers, accounts sso.Accounts) flows.StepType {
	return flows.StepType{
		Name:     "external_token",
		Doc:      doc,
		Code:     "EXTERNAL_TOKEN_REQUIRED",
		Config:   flowdefs.SchemaFor[config](),
		Prompt:   flowdefs.SchemaFor[prompt](),
		Input:    flowdefs.SchemaFor[answer](),
		Evidence: []assurance.Ceiling{sso.Ceiling()},
		Ceilings: ceilings,
		Exits:    []string{exitDenied, exitUnmet},
		Token:    true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Accept: acceptIDToken, Nonce: nonceRequired, MaxAge: defaultMaxAge}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := c.check(); err != nil {
				return nil, fmt.Errorf("external_token: %w", err)
			}
			return &step{c, providers, accounts}, nil
		},
		Actor: actor,
	}
}

type config struct {
	Provider string        `yaml:"provider" ref:"provider" doc:"Name of the provider."`
	Apps     []string      `yaml:"apps" doc:"The client ids that are ours at the provider."`
	Accept   string        `yaml:"accept,optional" enum:"id_token,introspection,userinfo" doc:"What is taken, and how it is checked; default id_token."`
	Nonce    string        `yaml:"nonce,optional" enum:"required,none" doc:"Whether ID tokens must hold the nonce of the prompt; default required."`
	MaxAge   time.Duration `yaml:"max_age,optional" doc:"Greatest age of an ID token; default 5m."`
}

func (c config) check() error {
	switch {
	case len(c.Apps) == 0 || slices.Contains(c.Apps, ""):
		return errors.New("apps is empty: a provider issues tokens to others too")
	case !slices.Contains([]string{acceptIDToken, acceptIntrospection, acceptUserInfo}, c.Accept):
		return fmt.Errorf("accept is %s, %s or %s, not %q", acceptIDToken, acceptIntrospection, acceptUserInfo, c.Accept)
	case c.Nonce != nonceRequired && c.Nonce != nonceNone:
		return fmt.Errorf("nonce is %s or %s, not %q", nonceRequired, nonceNone, c.Nonce)
	case c.MaxAge <= 0 || c.MaxAge > longestMaxAge:
		return fmt.Errorf("max_age is more than nothing and at most %s", longestMaxAge)
	}
	return nil
}

// ceilings is the most that the provider of one step can prove.
func ceilings(cfg flowdefs.Config, providers map[string]*flowdefs.Provider) []assurance.Ceiling {
	var c config
	if cfg.Decode(&c) != nil {
		return []assurance.Ceiling{sso.Ceiling()}
	}
	return sso.CeilingsOf(providers[c.Provider])
}

type prompt struct {
	Provider string `json:"provider" doc:"Its name in the definitions."`
	Accept   string `json:"accept" doc:"What is taken: id_token, or an access token for introspection or userinfo."`
	Nonce    string `json:"nonce,omitempty" doc:"What the ID token must hold as its nonce."`
}

type answer struct {
	IDToken     string `json:"idToken,omitempty" minLength:"1" maxLength:"16384" doc:"An ID token."`
	AccessToken string `json:"accessToken,omitempty" minLength:"1" maxLength:"16384" doc:"An access token."`
}

type step struct {
	cfg       config
	providers sso.Providers
	accounts  sso.Accounts
}

// Enter asks for the token, with a nonce of this run.
func (s *step) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	p := prompt{Provider: s.cfg.Provider, Accept: s.cfg.Accept}
	if s.cfg.Accept == acceptIDToken && s.cfg.Nonce == nonceRequired {
		p.Nonce = rand.Text()
	}
	return flows.Ask(flows.Prompt{Data: p}), v.Keep(p.Nonce)
}

// Answer takes the token.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if (a.IDToken == "") == (s.cfg.Accept == acceptIDToken) || (a.AccessToken == "") == (s.cfg.Accept != acceptIDToken) {
		return flows.Outcome{}, fmt.Errorf("%w: external_token: not the token that was asked for", flows.ErrMalformed)
	}
	p, err := s.providers.Find(s.cfg.Provider)
	if err != nil {
		return flows.Outcome{}, err
	}
	said, err := s.verify(ctx, v, p, a)
	if errors.Is(err, oidcclient.ErrRefused) {
		return flows.Reject("refused", nil), nil
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: external_token: %w", flows.ErrUnavailable, err)
	}
	if v.MaxAge != nil && said.AuthTime.Before(v.Now.Add(-*v.MaxAge)) { // not said is the beginning of time
		return flows.Exit(exitUnmet), nil
	}
	return s.take(ctx, v, p, said)
}

// verify asks the package that knows providers whether the token is good.
func (s *step) verify(ctx context.Context, v *flows.Visit, p sso.Provider, a answer) (oidcclient.Vouched, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	want := oidcclient.Foreign{Apps: s.cfg.Apps, MaxAge: s.cfg.MaxAge}
	switch s.cfg.Accept {
	case acceptIntrospection:
		return p.Client.Introspect(ctx, a.AccessToken, want)
	case acceptUserInfo:
		return p.Client.InspectToken(ctx, a.AccessToken, want)
	}
	if err := v.Kept(&want.Nonce); err != nil {
		return oidcclient.Vouched{}, err
	}
	if want.Nonce == "" && s.cfg.Nonce == nonceRequired {
		return oidcclient.Vouched{}, errors.New("no nonce was kept")
	}
	return p.Client.VerifyIDToken(ctx, a.IDToken, want)
}

// take uses the token up, and completes the step for the account that it is about. The
// mark is this request's own: a crash after it burns nothing.
func (s *step) take(ctx context.Context, v *flows.Visit, p sso.Provider, said oidcclient.Vouched) (flows.Outcome, error) {
	err := v.Once(ctx, "external_token/"+said.Mark, said.Until.Sub(v.Now), false)
	if errors.Is(err, flows.ErrTaken) {
		return flows.Reject("replayed", nil), nil
	}
	if err != nil {
		return flows.Outcome{}, err
	}
	proof, err := p.Proof(ctx, v, s.accounts, said.Identity)
	if errors.Is(err, sso.ErrUnknown) {
		return flows.Exit(exitDenied), nil
	}
	return flows.Pass(proof), err
}

// actor plays the app: its tokens are words, which a scenario's provider takes.
func actor(state json.RawMessage, how string) (json.RawMessage, error) {
	var p prompt
	if err := json.Unmarshal(state, &p); err != nil {
		return nil, fmt.Errorf("external_token: actor: %w", err)
	}
	if !slices.Contains([]string{"ok", "wrong", "another-app", "denied", "replayed"}, how) {
		return nil, fmt.Errorf("external_token: the actor does not know %q", how)
	}
	if p.Accept != acceptIDToken {
		return json.Marshal(answer{AccessToken: how}) //nolint:gosec // a word of a scenario, no token
	}
	return json.Marshal(answer{IDToken: how}) //nolint:gosec // likewise
}
