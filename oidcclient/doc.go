// Package oidcclient is the relying party's side of OpenID Connect: the
// authorization code flow with PKCE, for one provider and one client id.
//
//	p, err := oidcclient.New(oidcclient.Config{
//		Issuer: "https://idp.bank.example", ClientID: "stile", Now: time.Now,
//		Authentication: oidcclient.Authentication{Secret: secret},
//	})
//	a, err := p.AuthorizationRequest(ctx, oidcclient.RequestOptions{RedirectURI: "com.bank.app:/oauth2"})
//	// keep a.Request where only this user's run can reach it; send the user to a.URL
//	code, err := p.Receive(ctx, a.Request, rawQuery) // what the browser brought back
//	who, err := p.Redeem(ctx, a.Request, code)
//
// Receive costs no request to the token endpoint: what was not meant for this
// request ends there. Redeem sends the code, once; a caller that is answered by
// many at the same time decides between the two who may go on.
//
// # What is checked
//
// Of the response: no parameter twice, state in constant time, iss where the
// provider says that it sends one and wherever there is one (RFC 9207), for
// errors too. Of the token response: JSON without doubled members, of type
// Bearer, with an ID token. Of the ID token, all of OpenID Connect Core
// §3.1.3.7: three segments; an algorithm that is allowed here and that fits
// the key; a key of this issuer only, whatever the header carries; no crit; typ;
// iss, an audience of us alone, azp, exp, iat, nbf, nonce, at_hash, c_hash,
// auth_time where max_age was asked, acr where it was required. Of UserInfo: the
// same sub. A claim that has to be there and is not is a failed check.
//
// # Tokens of other kinds
//
// What an app got by itself is checked by [Provider.VerifyIDToken], [Provider.Introspect]
// and [Provider.InspectToken]. [Keys] are for whoever verifies access tokens of an issuer,
// as package rp does.
//
// # The network
//
// Nothing happens in [New]. Metadata are fetched when they are needed first and
// kept for an hour, keys for ten minutes; an unknown kid fetches them again, at
// most once in ten seconds. At most one fetch is under way, and after a failure
// none is tried for a while that grows from one second to thirty. Redirects are
// not followed, bodies end at 1 MiB, a request at Config.Timeout. The package's
// own transport uses no proxy of the environment and does not connect to
// link-local addresses, nor to loopback unless the issuer is there.
//
// # Errors
//
// [ErrUnavailable] is a provider that cannot be used now. [ErrIncomplete] and
// [ErrResponse] are responses that are none, or not acceptable: the request
// stays good, for an injected response must not end somebody's sign-on.
// [AuthorizationError] is a proper error response. [ErrRefused] says that the
// provider's answer failed a check, or that the code was no good. None holds
// anything that the provider or the browser has sent, beyond an error code.
package oidcclient
