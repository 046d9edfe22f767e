package flows

// The types of audit events: a closed set.
const (
	EventRunStarted      = "run_started"
	EventRunCompleted    = "run_completed"
	EventRunFailed       = "run_failed"
	EventRunCancelled    = "run_cancelled"
	EventStepPassed      = "step_passed"   // a proof was recorded
	EventStepDone        = "step_done"     // completed without a proof
	EventStepSkipped     = "step_skipped"  // session evidence stood for it
	EventStepRejected    = "step_rejected" // a wrong answer
	EventStepExit        = "step_exit"
	EventStepLost        = "step_lost" // exhausted or locked
	EventGoto            = "goto"      // Step is where it went
	EventConditionFailed = "condition_failed"
	EventSubjectChanged  = "subject_change_refused"
	EventEnrolledProof   = "enrolled_proof_refused"
	EventAboveCeiling    = "evidence_refused"
	EventRefused         = "request_refused"      // nothing changed; Reason is the problem's code
	EventLocked          = "authenticator_locked" // the last attempt was a wrong one
	EventSignedOut       = "signed_out"
	EventProviderLogout  = "provider_logout"         // a provider says that a session there has ended; Step is its name, Reason the way
	EventTokensRevoked   = "provider_tokens_revoked" // what was kept of a provider is no good any more; Step is its name
	EventTokensLeft      = "provider_tokens_left"    // it could not be told; Step is its name
	EventTokensLost      = "provider_tokens_lost"    // it gives nothing more for them; Step is its name
	EventSessionsEnded   = "sessions_ended"          // the account's sessions but this one end with a change
	EventMessageSent     = "message_sent"
	EventNotified        = "notified"              // the account's owner is told; Reason is the notice
	EventMessageDropped  = "message_dropped"       // a message goes where none may go, or where too many have gone
	EventMessageHeld     = "message_held"          // a step was to send something, and the budget is spent
	EventBound           = "authenticator_bound"   // it came to the account with a proof, not by a step that binds; Reason is its type
	EventRemoved         = "authenticator_removed" // its owner took it out of use; Reason is its type
	EventSessionIgnored  = "session_ignored"
	EventLinkConfirmed   = "link_confirmed"    // who got a link stands by it; the client has still to prove it
	EventLinkDenied      = "link_denied"       // who got a link did not ask for it: somebody else did
	EventHandedOver      = "handed_over"       // a link to a page was made
	EventPageOpened      = "handover_opened"   // a browser has taken the link
	EventPageAnswered    = "handover_answered" // what was typed there waits for the client
	EventTokenIssued     = "token_issued"      // to a relying party, for a code, a refresh token, or itself
	EventGatewayRefused  = "gateway_refused"   // a request did not pass; Target is the resource, Reason why
	EventClientBounded   = "client_bounded"    // a client from elsewhere asks for more than its source may give; it got the rest
	EventLogoutTold      = "logout_told"       // a relying party has heard that a session ended on which it got tokens
	EventLogoutUntold    = "logout_untold"     // it could not be told for days; it is not tried any more
	EventGrantRevoked    = "grant_revoked"     // a code or refresh tokens; Reason: revoked, or grant_reused
)
