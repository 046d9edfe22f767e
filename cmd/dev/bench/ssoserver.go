package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/gin-gonic/gin"
	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

const ssoFlows = `
flows:
  sign-on: { steps: [{ id: sso, type: sso, with: { provider: corporate } }] }
targets:
  ledger: { flow: sign-on, propagate: { type: bearer_jwt, audience: "https://ledger.bank.example", ttl: 1m } }
providers:
  corporate: { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }, scopes: [openid] }
clients:
  bench: { flows: [sign-on], targets: [ledger], redirect_uris: ["com.bank.app:/oauth2"], dpop: optional }
`

// ssoConfig is the configuration of a server whose one flow is a sign-on.
func ssoConfig(s setting) (config.Config, error) {
	text := fmt.Sprintf("definitions: flows\nproviders: { corporate: { issuer: %q, client_secret: { file: secret }, network: loopback } }\n", s.Provider)
	if err := os.Mkdir(filepath.Join(s.Folder, "flows"), 0o700); err != nil {
		return config.Config{}, err
	}
	for name, content := range map[string]string{"flows/all.yaml": ssoFlows, "secret": ssoSecret, "stile.yaml": text} {
		if err := os.WriteFile(filepath.Join(s.Folder, name), []byte(content), 0o600); err != nil {
			return config.Config{}, err
		}
	}
	return config.Load(filepath.Join(s.Folder, "stile.yaml"))
}

// link adds the account that the provider's user is linked to.
func link(ctx context.Context, n *node.Node, provider string) error {
	reg, err := n.Base.Registrar("bench", time.Now)
	if err != nil {
		return err
	}
	who := oidctest.DefaultUser()
	_, err = reg.Add(ctx, users.Person{
		Login: who.Username, Password: "a long pass phrase", Binding: assurance.AAL1,
		Links: []users.Link{{Issuer: provider, Subject: who.Subject}},
	})
	return err
}

// ssoFloor is the least that a sign-on at a provider takes: the same requests of
// the app, the same request to the provider, one ID token verified with a key
// that is at hand, and one signature. One row is stored, in memory.
type ssoFloor struct {
	*floor
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	begun    sync.Map // handle -> verifier of PKCE
}

func (f *floor) addSSO(ctx context.Context, r *gin.Engine, provider string) error {
	idp, err := oidc.NewProvider(ctx, provider)
	if err != nil {
		return err
	}
	s := &ssoFloor{floor: f, verifier: idp.VerifierContext(ctx, &oidc.Config{ClientID: "stile", SupportedSigningAlgs: []string{oidc.ES256}})}
	s.oauth = oauth2.Config{ClientID: "stile", ClientSecret: ssoSecret, Endpoint: idp.Endpoint(), RedirectURL: ssoRedirect, Scopes: []string{oidc.ScopeOpenID}}
	s.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInHeader // without it every exchange would be two requests
	r.POST("/v1/flows", s.start)
	r.POST("/v1/flow/steps/sso", s.finish)
	return nil
}

func (s *ssoFloor) start(c *gin.Context) {
	var body struct{ ClientID, Target string }
	v := s.view("sso", "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED", 1)
	pkce := oauth2.GenerateVerifier()
	s.begun.Store(string(v.Handle), pkce)
	v.NextStep.Data = map[string]string{
		"authorizationRequestUri": s.oauth.AuthCodeURL(rand.Text(), oauth2.S256ChallengeOption(pkce), oidc.Nonce(rand.Text())),
	}
	s.serve(c, &body, http.StatusCreated, 1, v)
}

func (s *ssoFloor) finish(c *gin.Context) {
	var body struct{ QueryString string }
	if err := c.ShouldBindJSON(&body); err != nil {
		c.AbortWithStatus(http.StatusBadRequest)
		return
	}
	handle := strings.TrimPrefix(c.GetHeader("Authorization"), "Flow ")
	pkce, _ := s.begun.LoadAndDelete(handle)
	text, ok := pkce.(string)
	query, err := url.ParseQuery(body.QueryString)
	if err != nil || !ok {
		c.AbortWithStatus(http.StatusBadRequest)
		return
	}
	token, err := s.exchange(c.Request.Context(), query.Get("code"), text)
	if err != nil {
		c.AbortWithStatus(http.StatusBadGateway)
		return
	}
	v := s.view("", "", 2)
	v.Result = &flows.Result{Session: flows.Secret(rand.Text()), Grant: &flows.Grant{Type: "bearer_jwt", Token: token}}
	c.JSON(http.StatusOK, v)
}

// exchange redeems a code, verifies the ID token and signs a token.
func (s *ssoFloor) exchange(ctx context.Context, code, pkce string) (string, error) {
	tokens, err := s.oauth.Exchange(ctx, code, oauth2.VerifierOption(pkce))
	if err != nil {
		return "", err
	}
	raw, _ := tokens.Extra("id_token").(string)
	if _, err := s.verifier.Verify(ctx, raw); err != nil {
		return "", err
	}
	return s.sign()
}
