// Package httpapi is the REST API that apps drive flows with: a gin adapter of
// the engine. It knows HTTP and nothing of flows.
//
// # Calls
//
//	POST   /v1/flows                     start a run: 201, a handle, the first step
//	GET    /v1/flow                      the current view
//	POST   /v1/flow/steps/{id}?turn=N    answer the current step
//	GET    /v1/flow/events               every view from now on, as server-sent events
//	POST   /v1/flow/activate?turn=N      let an optional later step run
//	POST   /v1/flow/back?turn=N          return to the previous prompt
//	POST   /v1/flow/resend?turn=N        send once more what the current step has sent
//	POST   /v1/flow/restart?turn=N       a new run of the same flow: 201
//	DELETE /v1/flow                      cancel
//	DELETE /v1/session                   end a session: 204
//	GET    /healthz /readyz /metrics     for operators
//	GET    /openapi.json                 this, for machines: see [Document]
//
// The handle travels in "Authorization: Flow <handle>" and nowhere else, the
// secret of a session in "Authorization: Session <secret>". A
// DPoP proof (RFC 9449) binds the run to the app's key; its htu is computed
// from the configured base URL, never from what a request says about itself.
// With an Idempotency-Key (22 to 128 characters of base64url) a request can be
// repeated after a lost answer.
//
// # Answers
//
// Success is a [flows.View]. Everything else is a problem document (RFC 9457)
// with a stable "code" and, where the handle is right, the members of the
// view. An unknown, expired, foreign, replaced or malformed handle and, on a
// run, a missing or wrong proof have one and the same answer, byte for byte.
// The codes of this package are below; all others are in package flows.
//
// Requests are read strictly: one JSON object of media type application/json,
// no unknown or doubled members, no unknown or doubled parameters. What is
// refused for its form leaves one audit event ([flows.Engine.Refuse]), and the
// engine is asked for the view at most; if the event cannot be recorded the
// answer is 503.
//
// # Waiting
//
// GET /v1/flow with "Prefer: wait=N" (RFC 7240) is answered once turn or status
// differ from what they were when it arrived, or after N seconds, at most 25.
// GET /v1/flow/events sends an event "view" at once and one for every change,
// and a comment every 15 seconds; it ends with the run or after 5 minutes. An
// event "problem" says what an answer of its own would have said. Both look
// through [flows.Engine.Show] every [Config].Poll, which checks handle and key
// each time, and end with their request or when [Config].Closing is closed.
//
// # What is logged
//
// One line per request: the route's template, method, status, duration,
// request id, the run's public id and the problem's code. No path, query,
// header or body is ever logged.
package httpapi
