package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flows/prove"
)

// weakest compares how weakly runs can complete: a path that is weaker than the
// weakest before is what a change must not bring by accident.
func (d *differ) weakest(before, after []prove.Verdict) {
	for _, v := range after {
		i := slices.IndexFunc(before, func(o prove.Verdict) bool { return o.Flow == v.Flow && o.Target == v.Target })
		if i < 0 || len(v.Classes) == 0 || len(before[i].Classes) == 0 {
			continue
		}
		d.where = titleOf(v)
		old, now := before[i].Classes[0], v.Classes[0]
		to := v.Target
		if to == "" {
			to = "the end"
		}
		switch {
		case now.ACR < old.ACR:
			d.note(more, "the weakest path to %s fell from %s to %s: %s", to, old.ACR, now.ACR, by(now))
		case now.ACR > old.ACR:
			d.note(less, "the weakest path to %s rose from %s to %s: %s", to, old.ACR, now.ACR, by(now))
		case strings.Join(now.AMR, " ") != strings.Join(old.AMR, " "):
			d.note(changed, "the weakest path to %s was %s and is %s", to, fmt.Sprint(old.AMR), fmt.Sprint(now.AMR))
		}
	}
}

// by says how one gets there.
func by(c prove.Class) string {
	if len(c.Steps) == 0 {
		return "by a session alone"
	}
	return "via " + strings.Join(c.Steps, ", ")
}
