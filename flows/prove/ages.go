package prove

import (
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// agesOf are how old the evidence of a session can be, as far as it matters,
// and whether levels decay by it. The first is young enough for whatever a
// target asks. With the second nothing can be bound any more; of what is partly
// older the machine makes one or the other. The levels that decay do so for each
// proof by itself; that the built-in ones do is the same as that something was
// bound at a lower level, but for who reads the level and the proofs.
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
	if reads("evidence") && reads("acr", "reached") {
		ages, decays = append(ages, assurance.AAL3.MaxAge()+time.Second, assurance.AAL2.MaxAge()+time.Second), true
	}
	slices.Sort(ages)
	return slices.Compact(ages), decays
}
