package flows

import (
	"context"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// complete is reached at the end of a flow: the only caller of issue.
func (x *exchange) complete(ctx context.Context) error {
	code, err := x.issue(ctx)
	if err != nil {
		return err
	}
	s := &x.r.State
	if code != "" {
		s.Status, s.Failure = Failed, code
		x.events = append(x.events, Event{Type: EventRunFailed, Reason: code})
		x.final()
		return nil
	}
	s.Status = Completed
	return nil
}

// issue is the assurance gate and, behind it, the one place where a token or a
// session comes into being. It returns the code of a refusal, or fills the result.
func (x *exchange) issue(ctx context.Context) (code string, err error) {
	s := &x.r.State
	if err := x.lookUp(ctx, s.Subject); err != nil {
		return "", err
	}
	res := x.w.assess(s.Evidence)
	target, code := x.gate(res)
	if code != "" {
		return code, nil
	}
	claims, ok := x.claims(ctx, target)
	if !ok {
		return CodeRequirement, nil
	}
	secret := x.newSession()
	x.result = &Result{Session: secret, SessionExpiresAt: x.session.Expires}
	acr := x.acr(res)
	x.events = append(x.events, Event{Type: EventRunCompleted, ACR: acr, AMR: res.AMR})
	if target == nil {
		return "", nil
	}
	grant, err := x.e.cfg.Propagators[target.Propagate.Type].Propagate(ctx, Identity{
		Subject: s.Subject, Client: x.r.Client, Session: x.session.ID, Key: x.r.Key,
		ACR: acr, AMR: res.AMR, AuthTime: res.AuthTime, Target: target.Name,
		Audience: target.Propagate.Audience, TTL: target.Propagate.TTL, Claims: claims, Now: x.w.now,
	})
	if err != nil {
		return "", err
	}
	x.result.Grant = &grant
	return "", nil
}

// gate checks, in this order, that there is somebody, who may be here, who
// proved something, and that it is enough for the target and for the client's request.
func (x *exchange) gate(res assurance.Result) (*flowdefs.Target, string) {
	s := &x.r.State
	switch {
	case s.Subject == "" || x.w.account.Subject != s.Subject || x.w.account.Status != AccountActive:
		return nil, CodeDenied
	case res.Level == assurance.None:
		return nil, CodeUnmet
	case len(x.r.ACRValues) > 0 && x.requested(res) == "":
		return nil, CodeUnmet
	}
	if x.r.Target == "" {
		return nil, ""
	}
	t := x.e.cfg.Definitions.Targets[x.r.Target]
	if t == nil || !slices.Contains(x.client.Targets, x.r.Target) {
		return nil, CodeNotAllowed
	}
	if res.Level < x.r.Requires {
		return nil, CodeUnmet
	}
	return t, ""
}

// requested is the first requested level that is satisfied, "" if none is.
func (x *exchange) requested(res assurance.Result) string {
	for _, v := range x.r.ACRValues {
		if l, err := assurance.ParseLevel(v); err == nil && res.Level >= l {
			return v
		}
	}
	return ""
}

// acr is the first requested value that is satisfied, else the highest of the scale.
func (x *exchange) acr(res assurance.Result) string {
	if v := x.requested(res); v != "" {
		return v
	}
	return res.Level.String()
}

// claims maps the target's claims. One that cannot be evaluated fails the run.
func (x *exchange) claims(ctx context.Context, t *flowdefs.Target) (map[string]any, bool) {
	if t == nil {
		return nil, true
	}
	out := make(map[string]any, len(t.Propagate.Claims))
	env := x.w.env(&x.r.State)
	for name, c := range t.Propagate.Claims {
		v, err := c.Value(ctx, env)
		if err != nil {
			x.events = append(x.events, Event{Type: EventConditionFailed, Reason: "claim"})
			return nil, false
		}
		out[name] = v
	}
	return out, true
}

// newSession makes the session that the run leaves: the one that it was started
// with, under a new secret and with what was proved since, or a new one. Its
// life is counted from its first login.
func (x *exchange) newSession() Secret {
	secret, alias := newHandle()
	s := &x.r.State
	x.session = &Session{
		ID: newID(), Secret: alias, Subject: s.Subject, Client: x.r.Client, Key: x.r.Key,
		Evidence: s.Evidence, Created: x.w.now,
	}
	if ps := s.Session; ps != nil && ps.Subject == s.Subject {
		x.session.ID, x.session.Created = ps.ID, ps.Created
		x.session.Evidence = merged(ps.Evidence, s.Evidence)
	}
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
