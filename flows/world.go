package flows

import (
	"cmp"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// enrolFresh is how old the evidence may be that lets somebody bind an authenticator.
const enrolFresh = 15 * time.Minute

// world is everything that advance may know beside the run: facts that were
// looked up before, for one request.
type world struct {
	now      time.Time
	account  Account // of the subject or, before the first proof, of the claimed one; zero if unknown
	over     bool    // the session that the run was started with has ended
	stale    bool    // the account's sessions were ended after the run began, and this is not the one that goes on
	attested bool    // and the maker of that device has vouched for it
	bound    bool    // the run's key belongs to a bound device of that account
	key      string
	keyed    bool // the client must use keys: a session without one skips nothing
	flow     string
	kind     flowdefs.FlowKind
	started  time.Time
	request  map[string]string
	drawable []string // step codes that the client can draw; empty: all
	scales   assurance.Scales
	departs  assurance.Deviations
	web      bool // a page draws what the client cannot draw
	goal     goal
	party    bool    // what the run leaves is traded by a relying party
	page     bool    // a script of one of the client's origins asks
	lax      bool    // what the flow guarantees is not held at the gate
	unknown  Unknown // of a model: settles what was not looked up
}

func (w *world) draws(code string) bool {
	if w.unknown != nil {
		return code == "" || w.unknown.Draws(code, false)
	}
	return len(w.drawable) == 0 || code == "" || slices.Contains(w.drawable, code)
}

// takes says whether anybody can draw the prompts of a step type: the client or a page.
func (w *world) takes(t StepType) bool { return w.draws(t.Code) || w.web && t.Typed }

// hands says whether a page draws what has this code.
func (w *world) hands(code string) bool { return w.web && !w.draws(code) }

// suits says whether what a target turns a run into can be given to whoever runs it. A
// relying party takes access tokens; a cookie is taken by browsers, which have no key.
func (w *world) suits(p *flowdefs.Propagate) bool {
	switch {
	case w.unknown != nil:
		return true
	case w.party:
		return p.Type == flowdefs.BearerJWT
	case p.Cookie != nil:
		return w.page && w.key == ""
	}
	return true
}

func (w *world) policy() assurance.Policy { return w.since(w.goal.notBefore) }

// since is the policy under which nothing counts that was proved before an
// instant. In a recovery a mailed code counts for what it is there: a recovery
// code sent to an address that was validated before (SP 800-63B-4 §4.2.1).
func (w *world) since(notBefore time.Time) assurance.Policy {
	departs := w.departs
	departs.EmailIsFactor = departs.EmailIsFactor || w.kind == flowdefs.Recovery
	return assurance.Policy{NotBefore: notBefore, Deviations: departs}
}

func (w *world) assess(ev []assurance.Evidence) assurance.Result {
	return assurance.Assess(ev, w.now, w.policy())
}

// until is when something that begins now is over; zero: never.
func (w *world) until(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return w.now.Add(d)
}

// setAccount takes the account in and derives what depends on it. Of the pending
// authenticators only those count that this run has enrolled.
func (w *world) setAccount(a Account, enrolled []string) {
	a.Authenticators = slices.DeleteFunc(slices.Clone(a.Authenticators), func(au Authenticator) bool {
		return au.Pending && !slices.Contains(enrolled, au.ID)
	})
	w.account, w.bound, w.attested = a, false, false
	for _, au := range a.Authenticators {
		if w.key != "" && au.Key == w.key {
			w.bound, w.attested = true, w.attested || au.Attested
		}
	}
}

// reach is the highest level that the account's active authenticators could
// prove together with what a provider vouched for in this run.
func (w *world) reach(p *program, evidence []assurance.Evidence) assurance.Level {
	var all []assurance.Evidence
	for _, e := range evidence {
		if e.Method == assurance.Federated {
			all = append(all, e)
		}
	}
	for _, au := range w.account.Authenticators {
		if au.Pending {
			continue
		}
		for _, c := range p.reach[au.Type] {
			if c.Attested && au.Unattested {
				continue
			}
			e := assurance.Highest(c, au.Binding, assurance.AAL3, w.now)
			e.Authenticator = au.ID
			all = append(all, e)
		}
	}
	return w.settledReach(p, all)
}

// freshLevel is what was proved recently enough to bind an authenticator.
func (m *machine) freshLevel() assurance.Level {
	limit := m.w.now.Add(-enrolFresh)
	if m.w.goal.notBefore.After(limit) {
		limit = m.w.goal.notBefore
	}
	return assurance.Assess(m.s.Evidence, m.w.now, m.w.since(limit)).Level
}

// mayEnrol: whoever binds an authenticator has proved as much as all that there are can.
func (m *machine) mayEnrol() bool {
	return m.s.Subject != "" && m.freshLevel() >= m.w.reach(m.p, m.s.Evidence)
}

// mayRemove asks for the same: else who has stolen a password takes the second
// factor away. Where it is lost, only a recovery is left, which never reaches
// as much: there, it takes two authenticators (SP 800-63B-4 §4.2.2.2).
func (m *machine) mayRemove() bool {
	return m.mayEnrol() || m.s.Subject != "" && m.w.kind == flowdefs.Recovery && m.freshAuthenticators() >= 2
}

// freshAuthenticators counts what was used recently enough; all that one device holds is one.
func (m *machine) freshAuthenticators() int {
	seen := map[string]bool{}
	for _, e := range assurance.Fresh(m.s.Evidence, m.w.now, m.w.since(m.w.now.Add(-enrolFresh))) {
		seen[cmp.Or(e.Device, e.Authenticator)] = true
	}
	return len(seen)
}

// reuse lets fresh session evidence of the same step type and configuration,
// same subject and same key stand for a step; the first such skip is the run's first proof.
func (m *machine) reuse(n *node) bool {
	ps := m.s.Session
	if m.w.kind == flowdefs.Transaction { // what was proved before is no approval of this
		return false
	}
	if ps == nil || m.w.over || len(n.typ.Evidence) == 0 || m.w.account.Subject != ps.Subject || m.w.account.Status != AccountActive {
		return false
	}
	if m.s.Subject != "" && m.s.Subject != ps.Subject || m.w.keyed && m.w.key == "" {
		return false
	}
	floor := m.w.goal.floor(m.w.scales)
	if m.w.unknown == nil && ps.restedFor(floor, m.w.started) {
		return false
	}
	for _, e := range assurance.Fresh(m.w.recall(n, ps), m.w.now, m.w.since(m.w.goal.oldest(m.w.scales, m.w.started))) {
		if e.StepType != n.def.Type || e.Config != n.def.ConfigHash || !m.stillBound(e) {
			continue
		}
		if m.w.unknown == nil && assurance.CheckCeilings(n.ceilings, e) != nil { // its verifier is trusted for less by now
			continue
		}
		e.Step = n.def.ID
		m.s.Subject, m.s.Claimed, m.s.Reused = ps.Subject, ps.Subject, true
		m.s.Evidence = append(m.s.Evidence, m.capped(e))
		m.step(n.def.ID, func(st *StepState) { st.Done = true })
		m.s.Trail = nil
		m.note(Event{Type: EventStepSkipped, Step: n.def.ID})
		return true
	}
	return false
}

// capped lowers evidence to what the kind of the flow may reach.
func (m *machine) capped(e assurance.Evidence) assurance.Evidence {
	if m.w.kind == flowdefs.Recovery {
		e.Cap = min(e.Cap, assurance.AAL1)
	}
	return e
}

// stillBound: what an authenticator proved in the session counts only while the account still has it.
func (m *machine) stillBound(e assurance.Evidence) bool {
	return e.Method == assurance.Federated || slices.ContainsFunc(m.w.account.Authenticators,
		func(a Authenticator) bool { return a.ID == e.Authenticator })
}

// env is what conditions see now; c is the one that will look, nil if several will.
func (m *machine) env(c *flowdefs.Condition) *flowdefs.Env {
	w, s := m.w, &m.s
	types := make([]string, 0, len(w.account.Authenticators))
	for _, a := range w.account.Authenticators {
		types = append(types, a.Type)
	}
	for _, document := range w.account.Accepted {
		types = append(types, flowdefs.Accepted+document)
	}
	env := &flowdefs.Env{
		Account:  flowdefs.AccountEnv{Attributes: w.account.Attributes, Types: types},
		Device:   flowdefs.DeviceEnv{Bound: w.bound, Attested: w.attested},
		Evidence: s.Evidence,
		Reached:  func() []string { return w.scales.Reached(s.Evidence, w.now, w.policy()) },
		Tags:     s.liveTags(w.now),
		Owed:     s.Obliged,
		Assigned: s.Assigned,
		Target:   w.goal.named,
		Run:      flowdefs.RunEnv{Flow: w.flow, Started: w.started},
		Now:      w.now,
		Request:  w.request,
	}
	if c == nil || c.Reads("acr") {
		env.ACR = w.assess(s.Evidence).Level
	}
	if w.unknown != nil {
		env.Unknown = w.unknown
	}
	return env
}
