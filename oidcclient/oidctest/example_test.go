package oidctest_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stile-auth/stile/oidcclient/oidctest"
	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

// A whole sign-on: a standard client, and a person with a browser.
func Example() {
	p, err := oidctest.Start(oidctest.Config{Now: time.Now})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	ctx := context.Background()

	provider, err := oidc.NewProvider(ctx, p.Issuer())
	if err != nil {
		log.Fatal(err)
	}
	client := oauth2.Config{
		ClientID: "app", RedirectURL: "com.example.app:/oauth2",
		Endpoint: provider.Endpoint(), Scopes: []string{"openid", "email"},
	}
	pkce := oauth2.GenerateVerifier()

	person, err := browser.New(browser.Config{})
	if err != nil {
		log.Fatal(err)
	}
	page, err := person.Open(ctx, client.AuthCodeURL("some-state", oauth2.S256ChallengeOption(pkce)))
	if err != nil {
		log.Fatal(err)
	}
	if page, err = page.Submit(ctx, "Sign in", map[string]string{"username": "alice", "password": "correct horse"}); err != nil {
		log.Fatal(err)
	}
	if page, err = page.Submit(ctx, "Allow", nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("handed to the app:", page.Handed.Scheme, page.Handed.Query().Has("code"))

	tokens, err := client.Exchange(ctx, page.Handed.Query().Get("code"), oauth2.VerifierOption(pkce))
	if err != nil {
		log.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: "app"}).Verify(ctx, raw)
	fmt.Println("subject:", id.Subject, err)
	// Output:
	// handed to the app: com.example.app true
	// subject: 248289761001 <nil>
}

// A provider that lies.
func ExampleProvider_Misbehave() {
	p, err := oidctest.Start(oidctest.Config{Now: time.Now})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	p.Misbehave(oidctest.SetMember(oidctest.EndpointDiscovery, "issuer", "https://evil.example"))
	if _, err := oidc.NewProvider(context.Background(), p.Issuer()); err != nil {
		fmt.Println("refused")
	}

	p.Behave()
	p.Misbehave(oidctest.Status(oidctest.EndpointJWKS, http.StatusBadGateway))
	res, err := http.Get(p.Issuer() + "/jwks")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode, p.Calls(oidctest.EndpointJWKS))
	// Output:
	// refused
	// 502 1
}
