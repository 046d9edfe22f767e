package flows

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// State is the machine's whole memory of a run. It is data: advance takes one
// and returns another.
type State struct {
	Status  Status `json:"status"`
	Failure string `json:"failure,omitempty"` // code of a failed run
	Exit    string `json:"exit,omitempty"`    // what led into the handler that runs
	Turn    int    `json:"turn"`

	At     string          `json:"at,omitempty"` // id of the node that waits
	Data   json.RawMessage `json:"data,omitempty"`
	Offers []string        `json:"offers,omitempty"` // ids of the options of the choose that waits
	Other  string          `json:"other,omitempty"`  // id of the choose whose other options can be had instead of the step that waits
	Memory json.RawMessage `json:"memory,omitempty"` // of the step that waits
	Handed bool            `json:"handed,omitempty"` // the client cannot draw what waits: a page does
	Until  time.Time       `json:"until,omitzero"`   // when the prompt times out, or a delay is over
	Link   *mailedLink     `json:"link,omitempty"`   // that the step which waits has sent
	Denied bool            `json:"denied,omitempty"` // by who got it: nothing answers this prompt any more
	Trail  []string        `json:"trail,omitempty"`  // prompts that back can return to

	Steps     map[string]StepState `json:"steps,omitempty"`
	Homes     []string             `json:"homes,omitempty"` // chooses in which somebody's provider was taken silently
	Picks     map[string]string    `json:"picks,omitempty"` // choose to the option that is being completed
	Jumps     map[string]int       `json:"jumps,omitempty"` // how often gotos went to a step
	Activated []string             `json:"activated,omitempty"`
	Tags      []Tag                `json:"tags,omitempty"`
	Obliged   []string             `json:"obliged,omitempty"` // obligations that are open
	Assigned  map[string]string    `json:"assigned,omitempty"`

	Evidence []assurance.Evidence `json:"evidence,omitempty"`
	Approved []Approval           `json:"approved,omitempty"` // transactions that were signed, in the order of the steps
	Enrolled []string             `json:"enrolled,omitempty"` // authenticators bound in this run: they prove nothing in it
	Subject  string               `json:"subject,omitempty"`
	Claimed  string               `json:"claimed,omitempty"`
	Named    string               `json:"named,omitempty"`    // the identifier that was claimed, as typed
	Shadow   string               `json:"shadow,omitempty"`   // its one spelling, if it has one
	Provider string               `json:"provider,omitempty"` // that the client remembers, in its words
	Reused   bool                 `json:"reused,omitempty"`   // session evidence stands for some step
	Session  *presented           `json:"session,omitempty"`
}

// StepState is what a run remembers of one step or option.
type StepState struct {
	Visits   int    `json:"visits,omitempty"`
	Rejected int    `json:"rejected,omitempty"`
	Lost     string `json:"lost,omitempty"` // "exhausted" or "locked": not offered again in this run
	Done     bool   `json:"done,omitempty"`

	Sent   int       `json:"sent,omitempty"` // messages of this step, whatever visit they were of
	SentAt time.Time `json:"sentAt,omitzero"`
}

// presented is the session that a run was started with.
type presented struct {
	ID       string               `json:"id"`
	Secret   Alias                `json:"secret"`
	Subject  string               `json:"subject"`
	Created  time.Time            `json:"created"`
	Seen     time.Time            `json:"seen,omitzero"` // when it was used last before this run; zero: Created
	Evidence []assurance.Evidence `json:"evidence"`
	Tags     []Tag                `json:"tags,omitempty"`
}

// level is what a presented session amounts to now.
func (p *presented) level(now time.Time, policy assurance.Policy) assurance.Level {
	l := assurance.Assess(p.Evidence, now, policy).Level
	for l > assurance.None && p.restedFor(l, now) {
		l--
	}
	return l
}

// restedFor says whether the session rested for too long to carry a level.
func (p *presented) restedFor(l assurance.Level, now time.Time) bool {
	seen := p.Seen
	if seen.IsZero() {
		seen = p.Created
	}
	return l.MaxIdle() > 0 && now.Sub(seen) > l.MaxIdle()
}

// clone copies what advance may change, but for Steps: see [machine.step].
func (s State) clone() State {
	s.Picks, s.Jumps, s.Assigned = maps.Clone(s.Picks), maps.Clone(s.Jumps), maps.Clone(s.Assigned)
	s.Offers, s.Trail, s.Homes = slices.Clone(s.Offers), slices.Clone(s.Trail), slices.Clip(s.Homes)
	s.Evidence, s.Enrolled = slices.Clip(s.Evidence), slices.Clip(s.Enrolled) // they only grow
	s.Approved = slices.Clip(s.Approved)
	s.Activated, s.Tags, s.Obliged = slices.Clone(s.Activated), slices.Clone(s.Tags), slices.Clone(s.Obliged)
	return s
}

// put sets a key of a map that may not be there yet.
func put[V any](m map[string]V, key string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = v
	return m
}

// liveTags returns the names of the tags that have not expired.
func (s *State) liveTags(now time.Time) []string {
	names := make([]string, 0, len(s.Tags))
	for _, t := range s.Tags {
		if t.Until.IsZero() || now.Before(t.Until) {
			names = append(names, t.Name)
		}
	}
	return names
}

// clockSkew is how much the clocks of nodes may differ without harm.
const clockSkew = 5 * time.Second

// atLeast is now, or the time of the newest evidence if another node's clock was
// a little ahead when it was recorded: time never runs backwards within a run.
func (s *State) atLeast(now time.Time) time.Time {
	latest := now
	all := s.Evidence
	if s.Session != nil {
		all = append(slices.Clone(all), s.Session.Evidence...)
	}
	for _, e := range all {
		if e.At.After(latest) && e.At.Sub(now) <= clockSkew {
			latest = e.At
		}
	}
	return latest
}

// leave forgets what belongs to the prompt that waited.
func (s *State) leave() {
	s.At, s.Data, s.Offers, s.Other, s.Memory, s.Until = "", nil, nil, "", nil, time.Time{}
	s.Handed, s.Link, s.Denied = false, nil, false
}
