// Package provider is the authorization server: OAuth 2.0 (RFC 6749, as RFC 9700
// narrows it) and OpenID Connect Core 1.0 for relying parties. It has no login of its own:
// an authorization request starts a run of the flow of a target, pages draw it in the
// browser, and the run leaves a code behind the assurance gate; each trade of a code or a refresh
// token passes that gate again.
//
//	GET, POST /oauth2/authorize    authorization endpoint: code, with PKCE
//	POST      /oauth2/token        authorization_code, refresh_token, client_credentials
//	POST      /oauth2/revoke       RFC 7009
//	POST      /oauth2/introspect   RFC 7662
//	GET, POST /oauth2/userinfo     OpenID Connect Core 1.0 §5.3
//	GET, POST /oauth2/logout       RP-Initiated Logout 1.0
//
// A relying party is a client of the definitions with an oauth section. What it gets a token for is a
// target: the one whose audience it names as its resource (RFC 8707), or its only one.
package provider
