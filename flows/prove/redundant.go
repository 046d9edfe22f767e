package prove

import (
	"slices"
	"strconv"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// needed drops evidence that makes no difference beside the rest, whatever else
// is proved later: neither to the level nor to amr. A PIN beside a password of
// the same level is such a thing. Paths that differ in nothing else are one.
func needed(all []assurance.Evidence) []assurance.Evidence {
	if len(all) < 2 {
		return all
	}
	kept := once(all)
	for i := 0; i < len(kept); i++ {
		rest := slices.Delete(slices.Clone(kept), i, i+1)
		if slices.ContainsFunc(rest, func(o assurance.Evidence) bool { return covers(o, kept[i]) }) && says(rest, kept[i]) {
			kept = rest
			i--
		}
	}
	return kept
}

// once drops what one authenticator proved twice in the same way.
func once(all []assurance.Evidence) []assurance.Evidence {
	var out []assurance.Evidence
	seen := map[string]bool{}
	for _, v := range all {
		key := v.Authenticator + " " + traits(v) + " " + strconv.FormatInt(v.At.Unix(), 36)
		if !seen[key] {
			seen[key] = true
			out = append(out, v)
		}
	}
	return out
}

// covers reports whether other does for every level what v does. Possession is
// left alone: which device something is on, and how its key is kept, tells more than this compares.
func covers(other, v assurance.Evidence) bool {
	if again := other; other.Authenticator == v.Authenticator && other.Binding >= v.Binding && !other.At.Before(v.At) {
		again.Binding = v.Binding
		if traits(again) == traits(v) {
			return true // of one authenticator, or of a stronger one of its type
		}
	}
	simple := func(e assurance.Evidence) bool {
		return slices.Equal(e.Categories, []assurance.Category{assurance.Knowledge})
	}
	return simple(v) && simple(other) && !other.LowEntropy && !other.Restricted && !other.At.Before(v.At) && other.Expires.IsZero() &&
		min(other.Binding, other.Cap) >= min(v.Binding, v.Cap) && min(other.Binding, other.Cap) > assurance.None &&
		(other.ReplayResistant || !v.ReplayResistant)
}

// says reports whether what is as fresh gives every amr value that v gives.
func says(rest []assurance.Evidence, v assurance.Evidence) bool {
	rest = slices.DeleteFunc(slices.Clone(rest), func(o assurance.Evidence) bool { return o.At.Before(v.At) })
	amr := func(e []assurance.Evidence) []string { return assurance.Assess(e, late, assurance.Policy{}).AMR }
	have := amr(rest)
	return !slices.ContainsFunc(amr([]assurance.Evidence{v}), func(s string) bool { return !slices.Contains(have, s) })
}

// late is after everything that happens.
var late = now.Add(time.Hour) //nolint:gochecknoglobals // a constant
