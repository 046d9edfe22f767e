// Package party plays how an application that knows OpenID Connect and nothing of Stile
// signs people in, over HTTP, against a server as "stile serve" runs it.
//
// It is written with golang.org/x/oauth2 and go-oidc, as the guide for relying parties
// shows. What happened at the sign-in is in the ID token: its amr decides who gets to the
// ledger, and acr_values asks for what is missing. Each line says how it has to be answered;
// anything else ends the story with a [story.Error].
package party

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/cmd/stile/demo/story"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

//go:embed flows.yaml
var flowsYAML string

type (
	scene  = story.Scene[*world]
	line   = story.Line[*world]
	answer = story.Answer
)

// Play plays the story.
func Play(ctx context.Context, opts story.Options) error {
	return story.Play(ctx, opts, open, scenes())
}

// origin is the shop's: nobody has to answer there, since the browser hands over what leads to it.
const origin = "http://127.0.0.1:9"

// world is the shop, and Jane with her browser.
type world struct {
	*story.House
	jane     story.Person
	browser  *browser.Browser
	config   oauth2.Config
	verifier *oidc.IDTokenVerifier
	amr      []string // of the last ID token
	spent    string   // a code that was traded
}

func open(ctx context.Context, opts story.Options) (w *world, err error) {
	w = &world{}
	w.House, err = story.NewHouse(opts, "party")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("party: %w", err), w.Close())
		}
	}()
	if err != nil {
		return w, err
	}
	secret := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	err = w.Start(ctx, map[string]string{
		"flows/flows.yaml": strings.NewReplacer("ORIGIN", origin, "HASH", hex.EncodeToString(sum[:])).Replace(flowsYAML),
		"stile.yaml":       "listen: 127.0.0.1:0\ndata_dir: data\ndefinitions: flows\n",
	})
	if err != nil {
		return w, err
	}
	if w.jane, err = w.Register(ctx, "jane"); err != nil {
		return w, err
	}
	if w.browser, err = w.Browser(origin); err != nil {
		return w, err
	}
	provider, err := oidc.NewProvider(w.with(ctx), w.Node.URL())
	if err != nil {
		return w, err
	}
	w.config = oauth2.Config{ClientID: "shop", ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: origin + "/signed-in", Scopes: []string{"openid"}}
	w.verifier = provider.Verifier(&oidc.Config{ClientID: "shop", SupportedSigningAlgs: []string{oidc.ES256}, Now: opts.Now})
	return w, nil
}

// with carries the requests of the libraries.
func (w *world) with(ctx context.Context) context.Context { return oidc.ClientContext(ctx, w.Client()) }

// Places implements [story.World].
func (w *world) Places() []story.Place { return []story.Place{{Name: "Stile", URL: w.Node.URL()}} }

// scenes are the story, in the order in which it is told.
func scenes() []scene {
	const shop, ledger = "https://shop.example", "https://ledger.example"
	found := func(code string) answer { return answer{Status: http.StatusFound, Code: code} }
	return []scene{
		{Title: "Jane comes to the shop", Lines: []line{
			{What: "prompt=none: is somebody there? Nobody is", Do: signIn(shop, oauth2.SetAuthURLParam("prompt", "none")), Want: found("login_required")},
			{What: "she signs in, with her password", Do: signIn(shop), Want: answer{Status: 200}},
			{What: "the ledger is for those who have used a one-time code", Do: ledgerOpens, Want: answer{Status: 403, Code: "no_otp"}},
			{What: "prompt=none: somebody is, and nothing is asked", Do: signIn(shop, oauth2.SetAuthURLParam("prompt", "none")), Want: answer{Status: 200}},
		}},
		{Title: "the shop asks for more", Lines: []line{
			{What: "prompt=none for the ledger: something is missing", Do: signIn(ledger, oauth2.SetAuthURLParam("prompt", "none")), Want: found("interaction_required")},
			{What: "acr_values=aal2: only what is missing is asked for", Do: signIn(ledger, oauth2.SetAuthURLParam("acr_values", "aal2")), Want: answer{Status: 200}},
			{What: "the ledger opens, by the amr of the ID token", Do: ledgerOpens, Want: answer{Status: 200}},
			{What: "an essential acr that nobody can reach is refused at once", Do: signIn(ledger, oauth2.SetAuthURLParam("claims", `{"id_token":{"acr":{"essential":true,"values":["aal3"]}}}`)), Want: found("unmet_authentication_requirements")},
		}},
		{Title: "somebody has copied what the browser carried", Lines: []line{
			{What: "a code that was traded, without the verifier of its request", Do: tradeAgain, Want: answer{Status: 400, Code: "invalid_grant"}},
			{What: "a fresh one, likewise", Do: tradeStolen, Want: answer{Status: 400, Code: "invalid_grant"}},
		}},
	}
}

// begin is the authorization request of a sign-in.
func (w *world) begin(resource string, options []oauth2.AuthCodeOption) (address, state, nonce, verifier string) {
	state, nonce, verifier = rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	all := append(slices.Clone(options), oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce), oauth2.SetAuthURLParam("resource", resource))
	return w.config.AuthCodeURL(state, all...), state, nonce, verifier
}

// signIn signs Jane in for a resource, and says what the ID token says.
func signIn(resource string, options ...oauth2.AuthCodeOption) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		address, state, nonce, verifier := w.begin(resource, options)
		back, asked, err := w.SignIn(ctx, w.browser, w.jane, address)
		if err != nil {
			return answer{}, err
		}
		q := back.Query()
		if q.Get("state") != state || q.Get("iss") != w.Node.URL() {
			return answer{}, fmt.Errorf("an answer to another request: %s", back.Redacted())
		}
		if code := q.Get("error"); code != "" {
			return answer{Status: http.StatusFound, Code: code}, nil
		}
		w.spent = q.Get("code")
		tokens, err := w.config.Exchange(w.with(ctx), w.spent, oauth2.VerifierOption(verifier))
		if err != nil {
			return refusal(err)
		}
		raw, _ := tokens.Extra("id_token").(string)
		id, err := w.verifier.Verify(w.with(ctx), raw)
		if err != nil {
			return answer{}, err
		}
		var said struct {
			ACR string
			AMR []string
		}
		if err := id.Claims(&said); err != nil || id.Nonce != nonce {
			return answer{}, fmt.Errorf("an ID token of another sign-in: %w", err)
		}
		w.amr = said.AMR
		typed := "nothing"
		if len(asked) > 0 {
			typed = strings.Join(asked, ", ")
		}
		return answer{Status: http.StatusOK, More: fmt.Sprintf("asked for %s; acr %s, amr %s", typed, said.ACR, strings.Join(said.AMR, " "))}, nil
	}
}

// ledgerOpens is the shop's decision: by what happened, and not by how the sign-in looked.
func ledgerOpens(_ context.Context, w *world) (answer, error) {
	if !slices.Contains(w.amr, "otp") {
		return answer{Status: http.StatusForbidden, Code: "no_otp"}, nil
	}
	return answer{Status: http.StatusOK}, nil
}

func tradeAgain(ctx context.Context, w *world) (answer, error) {
	_, err := w.config.Exchange(w.with(ctx), w.spent, oauth2.VerifierOption(oauth2.GenerateVerifier()))
	return refusal(err)
}

func tradeStolen(ctx context.Context, w *world) (answer, error) {
	address, _, _, _ := w.begin("https://shop.example", nil)
	back, _, err := w.SignIn(ctx, w.browser, w.jane, address)
	if err != nil {
		return answer{}, err
	}
	_, err = w.config.Exchange(w.with(ctx), back.Query().Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier()))
	return refusal(err)
}

// refusal is what the token endpoint has said.
func refusal(err error) (answer, error) {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return answer{}, fmt.Errorf("it was not refused: %w", err)
	}
	return answer{Status: refused.Response.StatusCode, Code: refused.ErrorCode}, nil
}
