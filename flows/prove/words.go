package prove

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// act is one thing that happened on a path, as a person would tell it.
type act struct {
	do     doing
	step   string
	word   string
	with   []string
	wishes []string // steps that the app activates at the start
	times  int
	proof  *assurance.Evidence // of answers that prove something
	other  bool                // it is about another account than was named before
	weak   string              // in what it is weaker than it could be
}

type doing int

const (
	begins doing = iota
	answers
	fails
	locks
	waits
	leaves
	picks
	reopens
	backs
	activates
	dwells
)

const given = "given: "

// path collects what happened on the way to a point, and what was settled there.
func (e *explorer) path(from int, acts []act, over situation) ([]act, situation) {
	var parts [][]act
	settled := slices.Clone(over)
	for i := from; i >= 0; i = e.points[i].from {
		parts = append(parts, e.points[i].acts)
		for _, s := range e.points[i].settled {
			if v, known := settled.get(s.fact); known && v != s.value && (s.fact.kind == guess || s.fact.kind == text) { // it came out otherwise then
				earlier := fact{s.fact.kind, fmt.Sprintf("%s\n%s%d", s.fact.name, anew, i)}
				e.guesses[earlier.name] = e.guesses[s.fact.name]
				s.fact = earlier
			}
			settled = settled.with(s.fact, s.value)
		}
	}
	slices.Reverse(parts)
	return append(slices.Concat(parts...), acts...), settled
}

// tell gives a mistake its words and, if it can be shown, its scenario.
func (e *explorer) tell(m *mistake) Finding {
	f := m.Finding
	if m.from < 0 && m.acts == nil {
		return f
	}
	acts, settled := e.path(m.from, m.acts, m.over)
	f.Path = e.inWords(acts, settled)
	c := e.concrete(settled)
	f.Assumed = !c.found
	f.Scenario = e.scenario("counterexample: "+f.Message, f.shows, acts, settled, c)
	return f
}

// words tells a path.
func (e *explorer) words(from int, t *turn) []string {
	all, settled := e.path(from, t.acts, t.situation)
	return e.inWords(all, settled)
}

// stepsOf are the steps that are completed on a path.
func (e *explorer) stepsOf(from int, acts []act) []string {
	all, _ := e.path(from, acts, nil)
	out := []string{}
	for _, a := range all {
		if a.do == answers {
			out = append(out, a.step)
		}
	}
	return out
}

func (e *explorer) inWords(acts []act, settled situation) []string {
	out := []string{e.account(settled)}
	for _, a := range acts {
		out = append(out, a.String())
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// account tells what is supposed of the account and of the rest of the world.
func (e *explorer) account(settled situation) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	for _, s := range settled {
		name, known, _ := strings.Cut(s.fact.name, "\n")
		switch s.fact.kind {
		case bound:
			if s.value == yes {
				add("the phone is bound to the account")
			}
		case vouched:
			if s.value == yes {
				add("%s is attested", map[string]string{"": "the phone", runKey: "the key that is bound in the run"}[name])
			}
		case has:
			add("the account has %s%s", map[int]string{no: "no "}[s.value], s.fact.name)
		case draws:
			if s.value == no {
				add("the client cannot draw %s", s.fact.name)
			}
		case proved:
			if s.value > 0 {
				add("the session has proved %s", strings.Fields(s.fact.name)[0])
			}
		case reach:
			if s.value == yes {
				add("the account has stronger authenticators than it has shown")
			}
		case guess:
			add("%s is %s%s", name, [...]string{"true", "false", "an error"}[s.value], map[bool]string{true: " where it is asked"}[known != ""])
		case text:
			if g := e.guesses[s.fact.name]; e.claims[g.condition] {
				add("%s has a value", name)
				continue
			}
			add("%s is %q", name, strings.ReplaceAll(e.guesses[s.fact.name].values[s.value], flowdefs.UnknownValue, "anything else"))
		case age:
			switch typ, _, _ := strings.Cut(name, " "); {
			case s.value > 0 && e.decays:
				add("%s was proved %s ago", typ, e.ages[s.value])
			case s.value > 0:
				add("the session is older than a quarter of an hour")
			}
		case shape: // told with the proof
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return given + strings.Join(parts, "; ")
}

// String tells one act.
func (a act) String() string {
	switch a.do {
	case begins:
		return a.start()
	case answers:
		text := a.step + " is completed"
		if v := a.proof; v != nil {
			text = a.step + " is proved" + a.weak
		}
		if a.other {
			text += ", by somebody else than was named"
		}
		if len(a.with) > 0 {
			text += " and raises " + list(a.with)
		}
		return text
	case fails:
		return fmt.Sprintf("%s is answered wrongly %d times", a.step, a.times)
	case locks:
		return a.step + " is locked for good"
	case waits:
		return "time passes at " + a.step
	case dwells:
		return "while the person takes their time, " + a.word
	case leaves:
		return fmt.Sprintf("%s is left by its exit %s", a.step, a.word)
	case picks:
		return "the person picks " + a.step
	case reopens:
		return "the person asks for the other options"
	case backs:
		return "the person goes back"
	default:
		return "the app activates " + a.step
	}
}

// weaknesses tells in what a proof is weaker than its step can be.
func (e *explorer) weaknesses(v *assurance.Evidence, strong assurance.Evidence) string {
	var parts []string
	if v.Binding < strong.Binding {
		parts = append(parts, "with an authenticator bound at "+v.Binding.String())
	}
	if v.LowEntropy {
		parts = append(parts, "with a short one")
	}
	if strong.HardwareBound && !v.HardwareBound {
		parts = append(parts, "with a key that may leave its hardware")
	}
	if v.Upstream != nil {
		parts = append(parts, "by who was there "+now.Sub(v.Upstream.AuthTime).String()+" ago")
	}
	if strings.HasPrefix(v.Authenticator, enrolled) {
		parts = append(parts, "with what this run enrolled")
	}
	if len(parts) == 0 {
		return ""
	}
	return " " + strings.Join(parts, ", ")
}

func (a act) start() string {
	text := "the app starts a run"
	switch {
	case a.word == "hint":
		text += " and names the account"
	case len(a.with) > 0:
		text += " with a session that is tagged " + list(a.with)
	case a.word == "session":
		text += " with a session"
	}
	if len(a.wishes) > 0 {
		text += ", and activates " + list(a.wishes)
	}
	return text
}

// runs are a way to every state, each with its scenario if one can show it.
func (e *explorer) runs() []Run {
	var out []Run
	for i := range e.points {
		p := &e.points[i]
		acts, settled := e.path(p.from, p.acts, p.settled)
		r := Run{Path: e.inWords(acts, settled)}
		if c := e.concrete(settled); c.found {
			r.Scenario = e.scenario(fmt.Sprintf("%s %s %d", e.watch.what(), cmp.Or(p.end, p.state.At), i), p.shows, acts, settled, c)
		}
		out = append(out, r)
	}
	return out
}
