// Package contract holds no code but tests of the whole: a real node as
// "stile serve" would run it, spoken to over real HTTP, with the OpenID
// provider of package oidctest beside it. They know the REST contract and
// nothing of the engine.
//
//	random flows    the demo's app completes flows that it has never seen; the
//	                token says what a reading of the wire says
//	bad input       every refusal has its code, changes nothing, leaves one event
//	alike           unknown, disabled and mistaken people look the same, in time too
//	absent          a claim, member or parameter that is left out is a failed check
//	addresses       no header of a request changes a byte of any answer
//	canary          no secret in logs, events, metrics, problems or at rest
//	described       what is answered is as the description of the API says, both ways
//	schema fuzz     the API, driven from its description: no 5xx, nothing that is not described
//	handover        what a browser can do for a run, and to it
//	restart         a run finishes on the definition that it started with
package contract
