package prove

import (
	"slices"
	"strconv"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// shapes are the forms that the evidence of one configured step can have, as far
// as levels, amr and the conditions of the flow can tell them apart; the
// strongest first. A ceiling is only the most that a step can prove.
func (e *explorer) shapes(n *flowdefs.Node) []assurance.Evidence {
	if s, ok := e.shaped[n]; ok {
		return s
	}
	_, info := e.m.Node(n.ID)
	var out []assurance.Evidence
	for _, c := range info.Ceilings {
		if info.Type.Authenticator == "" { // bound elsewhere: the verifier's cap says it all
			out = append(out, e.forms(assurance.Highest(c, assurance.AAL3, assurance.AAL3, now))...)
			continue
		}
		for level := e.top; level >= assurance.AAL1; level-- {
			forms := e.forms(assurance.Highest(c, level, assurance.AAL3, now))
			if level < e.top && len(e.axes) == 0 {
				forms = forms[:1] // what else it lacks makes no difference any more
			}
			out = append(out, forms...)
		}
	}
	out = distinct(out)
	e.shaped[n] = out
	return out
}

// forms are the weaker forms of one evidence. Levels never rise when evidence
// is weakened, so a property that no expression reads by itself is covered by a
// lower level at binding; but for those that change amr, or that decide on aal3.
func (e *explorer) forms(strong assurance.Evidence) []assurance.Evidence {
	out := []assurance.Evidence{strong}
	add := func(change func(*assurance.Evidence)) {
		weak := strong
		change(&weak)
		out = append(out, weak)
	}
	if strong.HardwareBound || strong.SoftwareBound {
		add(func(v *assurance.Evidence) { v.HardwareBound, v.SoftwareBound, v.Attested = false, false, false })
	}
	if strong.Method == assurance.PIN {
		add(func(v *assurance.Evidence) { v.LowEntropy = true })
	}
	if strong.Method != assurance.Federated && len(strong.Categories) > 1 && slices.Contains(strong.Categories, assurance.Possession) {
		add(func(v *assurance.Evidence) {
			v.Categories, v.UserVerified = []assurance.Category{assurance.Possession}, false
		})
	}
	for _, off := range e.axes {
		for _, v := range slices.Clone(out) {
			off(&v)
			out = append(out, v)
		}
	}
	return out
}

// axesRead are the properties of evidence that some expression or level reads: each may be absent by itself.
func axesRead(conditions []*flowdefs.Condition) []func(*assurance.Evidence) {
	var out []func(*assurance.Evidence)
	for _, axis := range []struct {
		name string
		off  func(*assurance.Evidence)
	}{
		{"phishing_resistant", func(v *assurance.Evidence) { v.PhishingResistant = false }},
		{"replay_resistant", func(v *assurance.Evidence) { v.ReplayResistant = false }},
		{"hardware_bound", func(v *assurance.Evidence) { v.HardwareBound = false }},
		{"software_bound", func(v *assurance.Evidence) { v.SoftwareBound = false }},
		{"attested", func(v *assurance.Evidence) { v.Attested = false }},
		{"user_present", func(v *assurance.Evidence) { v.UserPresent = false }},
		{"user_verified", func(v *assurance.Evidence) { v.UserVerified = false }},
		{"exportable", func(v *assurance.Evidence) { v.Exportable = true }},
		{"restricted", func(v *assurance.Evidence) { v.Restricted = true }},
		{"low_entropy", func(v *assurance.Evidence) { v.LowEntropy = true }},
		{"unlock", func(v *assurance.Evidence) { v.Unlock = "" }},
		{"cap", func(v *assurance.Evidence) { v.Cap = min(v.Cap, assurance.AAL2) }},
		{"cap", func(v *assurance.Evidence) { v.Cap = min(v.Cap, assurance.AAL1) }},
		{"categories", without(assurance.Knowledge)},
		{"categories", without(assurance.Possession)},
		{"categories", without(assurance.Inherence)},
	} {
		if slices.ContainsFunc(conditions, func(c *flowdefs.Condition) bool { return c.ReadsField(axis.name) }) {
			out = append(out, axis.off)
		}
	}
	return out
}

// without takes one category of several away.
func without(c assurance.Category) func(*assurance.Evidence) {
	return func(v *assurance.Evidence) {
		if len(v.Categories) > 1 {
			v.Categories = slices.DeleteFunc(slices.Clone(v.Categories), func(other assurance.Category) bool { return other == c })
		}
	}
}

// distinct drops what stands twice, and keeps the order.
func distinct(in []assurance.Evidence) []assurance.Evidence {
	var out []assurance.Evidence
	seen := map[string]bool{}
	for _, v := range in {
		if k := traits(v); !seen[k] {
			seen[k] = true
			out = append(out, v)
		}
	}
	return out
}

// traits renders what tells evidence apart beside who proved it, where and when.
func traits(v assurance.Evidence) string {
	flags := [...]bool{
		v.PhishingResistant, v.ReplayResistant, v.HardwareBound, v.SoftwareBound, v.Exportable, v.Attested,
		v.UserPresent, v.UserVerified, v.Restricted, v.LowEntropy,
	}
	out := append(make([]byte, 0, 64), v.Method...)
	out = strconv.AppendInt(append(out, ' '), int64(v.Binding), 10)
	out = append(strconv.AppendInt(append(out, ' '), int64(v.Cap), 10), ' ')
	for _, f := range flags {
		if f {
			out = append(out, '1')
		} else {
			out = append(out, '0')
		}
	}
	for _, c := range v.Categories {
		out = append(append(out, ' '), c...)
	}
	for _, m := range v.Mapped {
		out = append(append(out, ' '), m...)
	}
	return string(append(append(append(append(out, ' '), v.Channel...), ' '), v.Unlock...))
}

// topLevel is the most that the steps of the flow can reach together: nothing
// tells higher levels at binding apart, but for expressions that read them.
func topLevel(m *flows.Model, steps []*flowdefs.Node, conditions []*flowdefs.Condition) assurance.Level {
	if slices.ContainsFunc(conditions, func(c *flowdefs.Condition) bool { return c.ReadsField("binding") || c.ReadsField("cap") }) {
		return assurance.AAL3
	}
	var all []assurance.Evidence
	for _, n := range steps {
		_, info := m.Node(n.ID)
		for _, c := range info.Ceilings {
			v := assurance.Highest(c, assurance.AAL3, assurance.AAL3, now)
			v.Authenticator = n.Type + n.ConfigHash
			all = append(all, v)
		}
	}
	return max(assurance.Assess(all, now, assurance.Policy{}).Level, assurance.AAL1)
}

// authenticator names what a step checks: two steps of one type check the same.
func authenticator(n *flowdefs.Node, info flows.StepInfo) string {
	if info.Type.Authenticator != "" {
		return info.Type.Authenticator
	}
	return n.Type + " " + n.ConfigHash
}
