package prove

import (
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// agesOf are how old the evidence of a session can be, as far as it matters,
// and whether levels decay by it. The first is young enough for whatever a
// target asks. With the second nothing can be bound any more; of what is partly
// older the machine makes one or the other. The levels that decay do so for each
// proof by itself; that the built-in ones do is the same as that something was
// bound at a lower level, but for who reads the level and at which one proofs are bound.
func agesOf(enrols bool, scales assurance.Scales, conditions []*flowdefs.Condition) (ages []time.Duration, decays bool) {
	ages = []time.Duration{time.Second}
	if enrols {
		ages = append(ages, time.Hour)
	}
	for _, s := range scales {
		for _, r := range s.Rungs {
			if r.MaxAge > 0 {
				ages, decays = append(ages, r.MaxAge+time.Second), true
			}
		}
	}
	reads := func(names ...string) bool {
		return slices.ContainsFunc(conditions, func(c *flowdefs.Condition) bool { return slices.ContainsFunc(names, c.Reads) })
	}
	bound := slices.ContainsFunc(conditions, func(c *flowdefs.Condition) bool { return c.ReadsField("binding") || c.ReadsField("cap") })
	if reads("evidence") && bound && reads("acr", "reached") {
		ages, decays = append(ages, assurance.AAL3.MaxAge()+time.Second, assurance.AAL2.MaxAge()+time.Second), true
	}
	slices.Sort(ages)
	return slices.Compact(ages), decays
}

// dwell are the things that happen while a person takes their time at a prompt:
// a tag runs out, and what was proved gets too old for some level. What is
// tried is each thing by itself, in every order.
func (e *explorer) dwell(s *flows.State) []action {
	l := e.liveAt(s)
	var out []action
	for i, t := range s.Tags {
		left := t.Until.Sub(now)
		if l.tags && l.words[t.Name] && (t.Until.IsZero() && e.passing[t.Name] || left > 0 && left <= flows.LongestRun) {
			out = append(out, action{acts: []act{{do: dwells, word: "the tag " + t.Name + " runs out"}}, passes: func(s *flows.State) {
				s.Tags = slices.Delete(slices.Clone(s.Tags), i, i+1)
			}})
		}
	}
	if !l.level && !e.decays {
		return out
	}
	for i, v := range s.Evidence {
		for _, older := range e.older(v) {
			out = append(out, action{acts: []act{{do: dwells, word: "what " + v.Step + " proved gets too old"}}, passes: func(s *flows.State) {
				s.Evidence = slices.Clone(s.Evidence)
				s.Evidence[i] = older
			}})
		}
	}
	return out
}

// older are what evidence can become while a run lasts. Where no level decays
// but the built-in ones, what gets too old for one of them is as good as if it
// had been bound below it; and only a session has something so old.
func (e *explorer) older(v assurance.Evidence) (out []assurance.Evidence) {
	brought := v.At.Before(now)
	if e.decays {
		for _, age := range e.ages {
			if now.Sub(v.At) < age && (brought || age <= flows.LongestRun) {
				aged := v
				aged.At = now.Add(-age)
				out = append(out, aged)
			}
		}
		return out
	}
	for l := min(v.Binding, v.Cap) - 1; brought && l >= assurance.AAL1; l-- {
		aged := v
		aged.Binding = l
		out = append(out, aged)
	}
	return out
}

// passingTags are the tags that some flow sets for a time.
func passingTags(set *flowdefs.Set) map[string]bool {
	out := map[string]bool{}
	for _, f := range set.Flows {
		eachNode(f, func(n *flowdefs.Node, _ bool) {
			for _, t := range n.Set {
				out[t] = out[t] || n.For > 0
			}
		})
	}
	return out
}
