// Package oidctest is an OpenID provider in a box: a real one for programs
// that need a provider to talk to, and a liar for tests that need one that
// lies.
//
//	p, err := oidctest.Start(oidctest.Config{Now: time.Now})
//	if err != nil { ... }
//	defer p.Close()
//	fmt.Println(p.Issuer()) // http://127.0.0.1:40123
//
// It listens on loopback over plain HTTP and keeps all in memory. Nobody's
// real passwords belong here: they are hashed at the lowest cost, nothing
// limits how often they are tried, and there is no TLS.
//
// # What it does
//
// The authorization code flow of OpenID Connect Core, with:
//
//   - discovery and key set: Discovery 1.0, RFC 8414, RFC 7517; kid is the
//     RFC 7638 thumbprint; RotateKeys and DropOldKeys
//   - authorization: PKCE with S256 only (RFC 7636), always iss in the
//     response (RFC 9207), response modes query, fragment and form_post;
//     prompt, max_age, login_hint, id_token_hint; redirect URIs by exact match
//     except for the port of loopback IPs (RFC 8252)
//   - people: a login page and a consent page, real HTML forms with CSRF
//     tokens, a session cookie and 303 after each form
//   - tokens: client_secret_basic, client_secret_post or public clients;
//     single-use codes whose reuse revokes what came from them; refresh tokens
//     that rotate, and whose reuse revokes the family (RFC 9700)
//   - UserInfo, revocation (RFC 7009), logout started by the client, which tells the
//     clients that want to know (Back-Channel Logout 1.0)
//
// acr_values is a voluntary wish (Core section 5.5.1.1): the ID token says
// what the user's entry in the Config says was done. Each grant brings a
// refresh token; signing out ends it unless offline_access was granted. A
// consent is remembered for the user, the client and the scopes. RS256 is announced only by a provider that signs with it, although
// Discovery wants it always, because its metadata is to be true.
//
// # How it misbehaves
//
// Misbehave adds a Fault, Behave removes all. A Fault is a set of hooks on the
// stages of an answer; there are functions for the usual ones:
//
//	p.Misbehave(oidctest.DropClaims("nonce"))
//	p.Misbehave(oidctest.SetParam("iss", "https://evil.example"))
//	p.Misbehave(oidctest.Body(oidctest.EndpointToken, "text/html", "<h1>Oops</h1>"))
//
// and a test that needs another sets the hook itself:
//
//	p.Misbehave(oidctest.Fault{Claims: func(claims map[string]any) {
//		claims["exp"] = "tomorrow"
//	}})
//
// A provider that hangs is a Gate, one that is unreachable is Down:
//
//	gate := oidctest.NewGate()
//	p.Misbehave(gate.Hold(oidctest.EndpointToken))
//	go signIn()
//	<-gate.Held() // the token request is inside
//	gate.Release()
//
// Calls tells how often an endpoint was asked: that a code went nowhere is
// p.Calls(oidctest.EndpointToken) == 0.
//
// The package browser, below this one, is a person with a browser: it follows
// redirects and fills in the forms.
package oidctest
