// Package flowdefs is the language in which flows are declared.
//
// Definitions are YAML files in one directory; any file may hold any of the
// sections flows, subflows, targets, providers and clients:
//
//	flows:
//	  mobile-banking:
//	    description: Sign in, prove a second factor, bind the phone.
//	    timeout: 10m                       # life of a run; at most 1h
//	    steps:
//	      - id: sso                        # a step: a type of the catalogue and its configuration
//	        type: sso
//	        with: { provider: corporate }
//	      - id: second-factor              # a choose: the client picks one of the options offered
//	        choose:
//	          - { id: biometric, type: device_biometric, if: device.bound }
//	          - { id: code, type: totp, if: account.has("totp"), attempts: { max: 5 } }
//	        otherwise: { id: letter, type: password }
//	      - require: acr >= level.aal2     # a guard: false or an error fails the run
//	      - { id: read, type: message, with: { text: terms }, timeout: 5m, on: { timeout: late } }
//	      - { goto: second-factor, max: 1, if: acr < level.aal2 }
//	    handlers:                          # where exits lead; at its end a handler fails the run
//	      late: [{ fail: too_late }]
//	targets:
//	  payments:
//	    flow: mobile-banking
//	    requires: { acr: aal2, max_age: 5m }
//	    propagate: { type: bearer_jwt, audience: "https://payments.example", ttl: 5m, claims: { branch: account.attributes.branch } }
//	providers:
//	  corporate:
//	    issuer: "https://idp.example"
//	    client_id: stile
//	    client_secret: { env: IDP_SECRET } # or { file: /run/secrets/idp }; none: a public client
//	    scopes: [openid, email]            # default [openid]
//	    provision: never                   # or link_only, create; default never
//	    assurance: { categories: [knowledge], cap: aal2 }   # default knowledge, aal1
//	clients:
//	  bank-app: { flows: [mobile-banking], targets: [payments], redirect_uris: ["com.bank.app:/oauth2"], dpop: required }
//
// Of YAML the language keeps the plain part: no anchors, aliases, merge keys,
// tags, nulls or second documents, every key once and known. A string that YAML
// would take for something else is quoted. A client is dpop: required unless it
// says optional.
//
// Further nodes are any, fail, abort, tag, oblige, decide, assign and delay, and
// use, which stands for the steps of a subflow; see [Node] and docs/language.md.
//
// What sub-flows and composed flows come to is bounded, so that a small file
// cannot become a large definition.
//
// # Expressions
//
// if, require, decide, and the values of assign and claims are expressions in CEL, checked when they are loaded
// and bounded in cost. They may name
//
//	account.has("totp"), account.attributes.NAME   the account has such an authenticator; an attribute
//	device.bound      the run's key belongs to a bound device of the account
//	device.attested   and the maker of that device has vouched for its key
//	client.id         of a client that authenticated itself
//	evidence          list of what was proved: step, type, method, authenticator, device, at, expires,
//	                  categories, binding, cap, phishing_resistant, replay_resistant, hardware_bound, ...
//	acr, level.aal1, level.aal2, level.aal3        ordered, comparable with one another only
//	tags, assigned.NAME, target, run.flow, run.started, now
//	request.NAME      what the client says of itself: in the if of an option alone
//
// What is absent is an error when it is read, and false for has(). What an error
// means is decided by the place of the condition; it never means false.
package flowdefs
