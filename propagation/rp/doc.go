// Package rp guards the resources of a target application: it verifies access
// tokens, asks for what a route needs, and answers who lacks it in the words
// that standard clients understand. It needs nothing else of Stile.
//
//	keys, err := oidcclient.NewKeys(oidcclient.KeysConfig{Issuer: "https://auth.bank.example", Now: time.Now})
//	guard, err := rp.New(rp.Config{Issuer: "https://auth.bank.example", Audience: "https://payments.bank.example",
//		Origin: "https://payments.bank.example", Keys: keys, Now: time.Now})
//	mux.Handle("POST /transfers", guard.Require(rp.Rule{ACR: []string{"aal2"}, MaxAge: 5 * time.Minute}, transfers))
//	who, err := rp.From(r.Context()) // in the handler
//
// # What is checked
//
// Of the token, as RFC 9068 §4 says: typ, algorithm, signature by a key of the
// issuer, iss, aud, exp, nbf, iat, and that sub, client_id and jti are there. A
// token that is bound to a key (RFC 9449) comes with a proof of that key for this
// very request, and in the scheme DPoP; one bound in a way that is not known here
// is refused. Then the [Rule] of the route. What a token does not say was not done.
//
// Or [Introspection] asks the issuer about each token (RFC 7662): for that, a sign-out
// counts at once. What was verified may be remembered ([Config.Remember]).
//
// # What is answered
//
// 401 with a challenge (RFC 6750 §3) to who has no token or a bad one; 401 with
// insufficient_user_authentication and what to ask for (RFC 9470) to who has to
// authenticate better; 403 insufficient_scope to who may not; 503 if the issuer's
// keys cannot be had: nobody gets in then. No answer says what was wrong with a
// token, and one with a bad token does not say what the resource asks for.
//
// # Keys of applications
//
// [APIKeys] guards what needs no user: any application with its key, or an
// administrator's tool. Keys are stored as hashes.
package rp
