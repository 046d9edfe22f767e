package flows

import (
	"context"
	"errors"
	"slices"

	"github.com/stile-auth/stile/flows/assurance"
)

// issue is the one place where a token or a session comes into being. It is
// called only with what the gate let out.
func (x *exchange) issue(ctx context.Context, out *issuance) error {
	secret := x.newSession()
	x.result = &Result{Session: secret, SessionExpiresAt: x.session.Expires, Provider: x.p.signedOnAt(&x.r.State)}
	if out.target == nil {
		return nil
	}
	if err := x.keeps(ctx); err != nil { // it may be what is handed on
		return err
	}
	if x.r.Code != nil || out.as.Redeemer != "" {
		code, err := x.authorize(out)
		x.result.Grant = code
		return err
	}
	grant, err := x.propagated(ctx, out, x.identity(out))
	if errors.Is(err, ErrSignOnAgain) {
		x.withdraw(CodeLoginRequired)
		return nil
	}
	if err != nil {
		return err
	}
	x.result.Grant = &grant
	return nil
}

// propagated makes of an identity what its target gets: each token of a target is made here.
func (x *exchange) propagated(ctx context.Context, out *issuance, id Identity) (Grant, error) {
	return x.e.cfg.Propagators[out.as.Type].Propagate(ctx, id)
}

// identity is what the gate has let out, for a propagator.
func (x *exchange) identity(out *issuance) Identity {
	s, p := &x.r.State, out.as
	id := Identity{
		Subject: s.Subject, Client: x.r.Client, Run: x.r.ID, Provider: p.Provider, Key: x.r.Key,
		ACR: out.acr, AMR: out.result.AMR, AuthTime: out.result.AuthTime, Target: out.target.Name,
		Audience: p.Audience, TTL: p.TTL, Longest: x.client.TTL, Header: p.Header, Cookie: p.Cookie, Claims: out.claims, Approved: s.Approved, Now: x.w.now,
	}
	if x.session != nil {
		id.Session = x.session.ID
	}
	return id
}

// withdraw fails a run that the gate has let out: there is nothing to give.
func (x *exchange) withdraw(code string) {
	s := &x.r.State
	s.Status, s.Failure = Failed, code
	x.session, x.result = nil, nil
	x.events = slices.DeleteFunc(x.events, func(e Event) bool { return e.Type == EventRunCompleted })
	x.events = append(x.events, Event{Type: EventRunFailed, Reason: code})
	x.refused = &Problem{Kind: KindFailed, Code: code, Detail: "The flow has failed."}
}

// newSession makes the session that the run leaves: the one that it was started
// with, under a new secret and with what was proved since, or a new one. Its
// life is counted from its first login.
func (x *exchange) newSession() Secret {
	secret, alias := newHandle()
	s := &x.r.State
	x.session = &Session{
		ID: x.sessionID(), Secret: alias, Subject: s.Subject, Client: x.r.sessionClient(), Key: x.r.Key,
		Evidence: s.Evidence, Tags: s.Tags, Created: x.w.now, Began: x.r.Started, Seen: x.w.now,
	}
	if ps := s.Session; ps != nil && ps.Subject == s.Subject && !x.w.over {
		x.session.Created = ps.Created
		x.session.Evidence = merged(ps.Evidence, s.Evidence)
	}
	x.session.Roots = rootsOf(x.session.Evidence)
	x.session.Expires = x.session.Created.Add(x.e.cfg.SessionTTL)
	return secret
}

// merged keeps, of the same step type, configuration and authenticator, the newest proof.
func merged(old, recent []assurance.Evidence) []assurance.Evidence {
	out := slices.Clone(recent)
	for _, o := range old {
		if !slices.ContainsFunc(recent, func(e assurance.Evidence) bool {
			return e.StepType == o.StepType && e.Config == o.Config && e.Authenticator == o.Authenticator
		}) {
			out = append(out, o)
		}
	}
	return out
}
