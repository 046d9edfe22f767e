// Package bank is a business API, as any relying party would write it who
// knows the token's issuer by two addresses and nothing else: it verifies JWT
// access tokens (RFC 9068) against the issuer's JWKS with coreos/go-oidc and
// imports nothing of the issuer's code.
//
//	b, err := bank.New(bank.Config{
//		Issuer: "https://id.bank.example", JWKSURL: "https://id.bank.example/.well-known/jwks.json", Now: time.Now,
//		Resources: []bank.Resource{{
//			Path: "/payments", Audience: "https://payments.bank.example",
//			ACRValues: []string{"aal2", "aal3"}, AMR: []string{"mfa"}, MaxAge: 5 * time.Minute,
//		}},
//	})
//	err = b.Start("127.0.0.1:0")
//	defer b.Close()
//
// Each resource has its own audience and its own idea of how strong and how
// recent the authentication must be. What the API answers:
//
//	200  the resource, who asked, and the claims that the token had
//	400  more than one Authorization, or a token in the query (RFC 6750 sections 2, 3.1)
//	401  no token: a challenge without an error; a bad token: invalid_token;
//	     a bad proof: invalid_dpop_proof (RFC 9449 section 7.1); a good token of
//	     too weak or too old an authentication: insufficient_user_authentication
//	     with acr_values and max_age (RFC 9470 section 3)
//	503  the issuer's keys cannot be had
//
// A token that is bound to a key (cnf.jkt) needs the scheme DPoP and a proof,
// one that is not needs Bearer; the other way round neither is taken.
package bank
