package prove

import (
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// matches reports whether what comes when no option is left proves at least as
// much as some option: who takes all options away with what they say of
// themselves has then won nothing that the author did not offer.
func (e *explorer) matches(choose *flowdefs.Node) bool {
	least := e.leasts(choose.Otherwise)
	return slices.ContainsFunc(choose.Options, func(o flowdefs.Node) bool {
		most := e.mosts(&o)
		return !slices.ContainsFunc(most, func(v assurance.Evidence) bool {
			return !slices.ContainsFunc(least, func(w assurance.Evidence) bool { return atLeast(w, v) })
		})
	})
}

// mosts is all that the steps of a node can prove.
func (e *explorer) mosts(n *flowdefs.Node) []assurance.Evidence {
	var out []assurance.Evidence
	for i := range n.Options {
		out = append(out, e.mosts(&n.Options[i])...)
	}
	for i := range n.Steps {
		out = append(out, e.mosts(&n.Steps[i])...)
	}
	if n.Otherwise != nil {
		out = append(out, e.mosts(n.Otherwise)...)
	}
	if n.Kind == flowdefs.Step {
		out = append(out, e.shapes(n)...)
	}
	return out
}

// leasts is what is proved whenever a node is completed: as strong as the
// authenticator is, whichever it is.
func (e *explorer) leasts(n *flowdefs.Node) []assurance.Evidence {
	switch n.Kind {
	case flowdefs.Step:
		if shapes := e.shapes(n); len(shapes) > 0 && n.If == nil {
			return shapes[:1]
		}
	case flowdefs.Group:
		var out []assurance.Evidence
		for i := range n.Steps {
			out = append(out, e.leasts(&n.Steps[i])...)
		}
		return out
	case flowdefs.Choose:
		return e.common(n)
	default: // proves nothing
	}
	return nil
}

// common is what every option of a choose proves.
func (e *explorer) common(choose *flowdefs.Node) []assurance.Evidence {
	all := slices.Clone(choose.Options)
	if choose.Otherwise != nil {
		all = append(all, *choose.Otherwise)
	}
	var out []assurance.Evidence
	for i, o := range all {
		o.If = nil // that it is taken is known
		proved := e.leasts(&o)
		if i == 0 {
			out = proved
			continue
		}
		out = slices.DeleteFunc(slices.Clone(out), func(v assurance.Evidence) bool {
			return !slices.ContainsFunc(proved, func(w assurance.Evidence) bool { return atLeast(w, v) })
		})
	}
	return out
}

// atLeast reports whether one proof is worth at least as much as another of the same level at binding.
func atLeast(v, than assurance.Evidence) bool {
	type trait struct{ has, asked bool }
	for _, t := range []trait{
		{v.PhishingResistant, than.PhishingResistant},
		{v.ReplayResistant, than.ReplayResistant},
		{v.HardwareBound, than.HardwareBound},
		{!v.Restricted, !than.Restricted},
		{!v.LowEntropy, !than.LowEntropy},
	} {
		if t.asked && !t.has {
			return false
		}
	}
	return carries(v) >= carries(than) && !slices.ContainsFunc(than.Categories, func(c assurance.Category) bool { return !slices.Contains(v.Categories, c) })
}

// carries is the highest level that a proof can be a part of (SP 800-63B-4 §2):
// above aal2 nothing goes that can be phished or copied.
func carries(v assurance.Evidence) assurance.Level {
	if !v.PhishingResistant || !v.HardwareBound {
		return min(v.Cap, assurance.AAL2)
	}
	return v.Cap
}
