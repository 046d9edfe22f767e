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
	Turn    int    `json:"turn"`

	At     string          `json:"at,omitempty"` // id of the step or choose that waits
	Data   json.RawMessage `json:"data,omitempty"`
	Offers []string        `json:"offers,omitempty"` // ids of the options of the choose that waits
	Other  bool            `json:"other,omitempty"`  // the step that waits can be exchanged for another option
	Memory json.RawMessage `json:"memory,omitempty"` // of the step that waits
	Trail  []string        `json:"trail,omitempty"`  // prompts that back can return to

	Steps    map[string]StepState `json:"steps,omitempty"`
	Evidence []assurance.Evidence `json:"evidence,omitempty"`
	Enrolled []string             `json:"enrolled,omitempty"` // authenticators bound in this run: they prove nothing in it
	Subject  string               `json:"subject,omitempty"`
	Claimed  string               `json:"claimed,omitempty"`
	Named    string               `json:"named,omitempty"` // the identifier that was claimed, as typed
	Session  *presented           `json:"session,omitempty"`
}

// StepState is what a run remembers of one step.
type StepState struct {
	Visits   int    `json:"visits,omitempty"`
	Rejected int    `json:"rejected,omitempty"`
	Lost     string `json:"lost,omitempty"` // "exhausted" or "locked": not offered again in this run
	Done     bool   `json:"done,omitempty"`
}

// presented is the session that a run was started with.
type presented struct {
	ID       string               `json:"id"`
	Secret   Alias                `json:"secret"`
	Subject  string               `json:"subject"`
	Created  time.Time            `json:"created"`
	Evidence []assurance.Evidence `json:"evidence"`
}

// clone copies what advance may change.
func (s State) clone() State {
	s.Steps = maps.Clone(s.Steps)
	if s.Steps == nil {
		s.Steps = map[string]StepState{}
	}
	s.Offers = slices.Clone(s.Offers)
	s.Trail = slices.Clone(s.Trail)
	s.Evidence = slices.Clone(s.Evidence)
	s.Enrolled = slices.Clone(s.Enrolled)
	return s
}

func (s *State) step(id string, change func(*StepState)) {
	st := s.Steps[id]
	change(&st)
	s.Steps[id] = st
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
	s.At, s.Data, s.Offers, s.Other, s.Memory = "", nil, nil, false, nil
}
