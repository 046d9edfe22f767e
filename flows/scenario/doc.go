// Package scenario plays what authors of flows expect of them.
//
// Scenarios stand in files *.test.yaml beside the definitions, one scenario per
// YAML document; documents are parted by "---":
//
//	scenario: a wrong code is told and may be repeated
//	target: ledger                        # or flow: NAME
//	given: { account: jane, has: [password, totp] }
//	steps:
//	  - password: ok
//	  - code: wrong
//	    times: 2
//	  - expect: { code: wrong_answer, step: code }
//	  - code: ok
//	  - expect: { status: completed, assurance: { acr: aal2, amr: [mfa, otp, pwd] } }
//
// docs/scenarios.md is the manual of the format.
//
// [Load] reads and checks the files against loaded definitions. A [Runner]
// plays them, each in worlds of its own that a [Host] makes: once on the engine
// and once over HTTP, as an app would, and what both were shown must be the same
// but for what is random. Time is virtual.
package scenario
