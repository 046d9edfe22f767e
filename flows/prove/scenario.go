package prove

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// scenario writes a path as a scenario file, "" if scenarios cannot show it: a
// lock needs more runs than one, and a session another flow.
func (e *explorer) scenario(title, shows string, acts []act, settled situation, c concretion) string {
	if shows == "" || !c.found { // nothing to see, or of nobody
		return ""
	}
	w := &scenarioWriter{e: e, settled: settled, c: c, wrong: map[string]int{}}
	for _, a := range acts {
		if !w.act(a) {
			return ""
		}
	}
	if _, empty := slices.BinarySearch(slices.Sorted(maps.Values(c.attributes)), ""); empty || !w.bound() {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "scenario: %s\n", yamlText(title))
	switch {
	case e.target != nil:
		fmt.Fprintf(&b, "target: %s\n", e.target.Name)
	default:
		fmt.Fprintf(&b, "flow: %s\n", e.flow.Name)
	}
	if w.hint {
		b.WriteString("loginHint: jane\n")
	}
	if len(w.wishes) > 0 {
		fmt.Fprintf(&b, "activate: [%s]\n", list(w.wishes))
	}
	if members := e.m.Transaction(); len(members) > 0 {
		fmt.Fprintf(&b, "transaction: { %s }\n", strings.Join(members, ": something, ")+": something")
	}
	if codes := w.drawable(); codes != nil {
		fmt.Fprintf(&b, "capabilities: [%s]\n", list(codes))
	}
	if w.c.locale != "" {
		fmt.Fprintf(&b, "locale: %s\n", yamlText(w.c.locale))
	}
	b.WriteString("given: " + w.given() + "\nsteps:\n")
	for _, line := range w.lines {
		b.WriteString("  - " + line + "\n")
	}
	b.WriteString("  - expect: { " + shows + " }\n")
	return b.String()
}

type scenarioWriter struct {
	e       *explorer
	settled situation
	c       concretion
	lines   []string
	calls   map[string]string
	hint    bool
	wishes  []string
	wrong   map[string]int // answers, by what they are guesses of
	mailed  string         // type of the authenticator that a link went to
	proofs  []assurance.Evidence
	level   assurance.Level // at which the authenticators are bound
}

// act writes one act; false if it cannot be shown.
func (w *scenarioWriter) act(a act) bool {
	add := func(format string, args ...any) { w.lines = append(w.lines, fmt.Sprintf(format, args...)) }
	n, info := w.e.m.Node(a.step)
	silent := n != nil && n.Kind == flowdefs.Step && info.Type.Code == "" // is never asked
	if a.other {
		return false // there is one account in a scenario
	}
	if a.do == answers && len(info.Assigns) > 0 {
		return false // what a service says that comes to this is written nowhere
	}
	if a.do == answers && info.Type.Alters && w.e.asksWhat(info.Type) {
		return false // what it makes of the account hangs on what is not written here
	}
	if silent && info.Type.NeedsSubject {
		return false // what it decides hangs on more of the account than is known
	}
	switch a.do {
	case begins:
		w.hint, w.wishes = a.word == "hint", a.wishes
		return a.word != "session"
	case answers:
		if a.proof != nil && !w.binds(n, a.proof) || len(a.with) > 0 {
			return false
		}
		if !silent {
			add("%s", answerLine(a.step, "ok"))
		}
	case fails:
		if len(info.Ceilings) == 0 && !info.Type.Enrols && !info.Type.Removes {
			return false // there is no wrong answer to it
		}
		if w.wrong[info.Type.Authenticator] += a.times; w.wrong[info.Type.Authenticator] > flowdefs.DefaultAttempts {
			return false // so many take longer than a run lasts
		}
		add("%s", answerLine(a.step, "wrong"))
		if a.times > 1 {
			w.lines[len(w.lines)-1] += fmt.Sprintf("\n    times: %d", a.times)
		}
	case waits:
		if w.e.decays {
			return false // what gets too old meanwhile is asked again
		}
		d := n.Timeout
		if n.Kind == flowdefs.Delay {
			d = n.Wait
		}
		add("after: %s", short(d))
		if n.Kind == flowdefs.Delay {
			add("%s", answerLine(a.step, "ok"))
		}
	case leaves:
		return w.leaves(a, silent)
	case picks:
		add("pick: %s", a.step)
	case reopens:
		add("choose_other")
	case backs:
		add("back")
	case activates:
		add("activate: %s", a.step)
	default:
		return false
	}
	return true
}

// leaves writes how a step is left by an exit.
func (w *scenarioWriter) leaves(a act, silent bool) bool {
	switch {
	case silent && a.word == "unavailable":
		w.call(a.step, "down")
	case silent && a.word != "denied":
		w.call(a.step, a.word)
	case a.word == "denied":
		_, info := w.e.m.Node(a.step)
		if info.Type.Links {
			return w.denies(info.Type.Authenticator)
		}
		if !slices.Contains(info.Type.Exits, "denied") {
			return false
		}
		w.lines = append(w.lines, answerLine(a.step, "denied"))
	default:
		return false
	}
	return true
}

// denies writes that who got a link did not ask for it: there is somebody who got it.
func (w *scenarioWriter) denies(authenticator string) bool {
	if w.settled.not(fact{has, authenticator}) {
		return false
	}
	w.mailed = authenticator
	w.lines = append(w.lines, "browser: deny")
	return true
}

func (w *scenarioWriter) call(step, word string) {
	if w.calls == nil {
		w.calls = map[string]string{}
	}
	w.calls[step] = word
}

// binds takes a proof over: what it was made with has to be bound at its level.
func (w *scenarioWriter) binds(n *flowdefs.Node, v *assurance.Evidence) bool {
	if strings.HasPrefix(v.Authenticator, enrolled) || v.LowEntropy || v.Upstream != nil {
		return false // no scenario has that
	}
	// A passkey of a scenario is in software, and verifies whoever it is asked to verify.
	if v.Method == assurance.Passkey && (v.HardwareBound || len(v.Categories) < len(w.e.shapes(n)[0].Categories)) {
		return false
	}
	// No maker vouches for the phone of a scenario that is written here.
	if v.Method == assurance.DeviceKey && w.e.shapes(n)[0].Attested {
		return false
	}
	if slices.ContainsFunc(w.proofs, func(o assurance.Evidence) bool { return o.Authenticator == v.Authenticator && o.Binding != v.Binding }) {
		return false // and none has two of a type
	}
	if at, ok := w.settled.get(fact{shape, v.Authenticator}); ok && w.e.shapes(n)[min(at, len(w.e.shapes(n))-1)].Binding != v.Binding {
		return false // it is another one than what the account was supposed to have
	}
	w.proofs = append(w.proofs, *v)
	return true
}

// bound finds one level at which everything can be bound, since a scenario has
// one level for all; false if that would come to something else.
func (w *scenarioWriter) bound() bool {
	elsewhere := w.settled.is(fact{has, w.e.deviceType}) && !w.settled.is(fact{bound, ""})
	if elsewhere || w.settled.is(fact{reach, ""}) || w.settled.is(fact{vouched, ""}) || w.settled.is(fact{vouched, runKey}) {
		return false // an account has what no scenario can give it
	}
	levels := map[assurance.Level]bool{}
	for _, n := range w.e.all {
		_, info := w.e.m.Node(n.ID)
		if info.Type.Authenticator == "" || info.Type.Enrols {
			continue
		}
		if at, ok := w.settled.get(fact{shape, info.Type.Authenticator}); ok {
			v := w.e.shapes(n)[at]
			levels[v.Binding] = true
			if v.LowEntropy {
				return false
			}
		}
	}
	if w.e.enrols && w.unequal(levels) {
		return false // what the account can reach decides, and a scenario binds all at one level
	}
	w.level = assurance.AAL2
	if len(levels) > 0 {
		w.level = assurance.AAL3
	}
	for l := range levels {
		w.level = min(w.level, l)
	}
	if len(levels) < 2 {
		return true
	}
	var lowered []assurance.Evidence
	for _, v := range w.proofs {
		if v.Method != assurance.Federated {
			v.Binding = w.level
		}
		lowered = append(lowered, v)
	}
	made := func(all []assurance.Evidence) assurance.Level {
		for i := range all {
			all[i].At = now
		}
		return assurance.Assess(all, now, assurance.Policy{}).Level
	}
	return w.e.target == nil && made(lowered) == made(w.proofs) // what a target asks is held against each
}

// unequal says whether the account has an authenticator that has proved nothing,
// or one of the highest level: then it can reach something else in a scenario.
func (w *scenarioWriter) unequal(levels map[assurance.Level]bool) bool {
	_, phone := w.settled.get(fact{shape, w.e.deviceType})
	return levels[assurance.AAL3] || w.settled.is(fact{bound, ""}) && !phone || slices.ContainsFunc(w.settled, func(s setting) bool {
		_, proved := w.settled.get(fact{shape, s.fact.name})
		return s.fact.kind == has && s.value == yes && !proved
	})
}

// drawable lists what the client can draw, nil if that is everything.
func (w *scenarioWriter) drawable() []string {
	var lacks []string
	for _, s := range w.settled {
		if s.fact.kind == draws && s.value == no {
			lacks = append(lacks, s.fact.name)
		}
	}
	if lacks == nil {
		return nil
	}
	codes := map[string]bool{}
	for _, n := range w.e.all {
		if _, info := w.e.m.Node(n.ID); info.Type.Code != "" && !slices.Contains(lacks, info.Type.Code) {
			codes[info.Type.Code] = true
		}
	}
	return sorted(codes)
}

// given writes what there is before.
func (w *scenarioWriter) given() string {
	var holds, parts []string
	for _, s := range w.settled {
		if s.fact.kind == has && s.value == yes && s.fact.name != w.e.deviceType {
			holds = append(holds, s.fact.name)
		}
	}
	if w.mailed != "" && !slices.Contains(holds, w.mailed) {
		holds = append(holds, w.mailed)
	}
	if len(holds) > 0 {
		parts = append(parts, "has: ["+list(holds)+"]")
	}
	if w.settled.is(fact{bound, ""}) {
		parts = append(parts, "device: bound")
	}
	if w.level != assurance.AAL2 {
		parts = append(parts, "level: "+w.level.String())
	}
	if len(w.c.attributes) > 0 {
		var pairs []string
		for _, name := range sorted(w.c.attributes) {
			pairs = append(pairs, yamlText(name)+": "+yamlText(w.c.attributes[name]))
		}
		parts = append(parts, "attributes: { "+list(pairs)+" }")
	}
	if w.c.at != "" {
		parts = append(parts, "at: "+yamlText(w.c.at))
	}
	if len(w.calls) > 0 {
		var pairs []string
		for _, step := range slices.Sorted(maps.Keys(w.calls)) {
			pairs = append(pairs, step+": "+w.calls[step])
		}
		parts = append(parts, "calls: { "+list(pairs)+" }")
	}
	if len(parts) == 0 {
		return "{ account: jane }"
	}
	return "{ " + list(parts) + " }"
}

func answerLine(step, word string) string {
	if slices.Contains([]string{"answer", "pick", "choose_other", "back", "restart", "cancel", "activate", "resend", "after", "provider", "browser", "start", "expect"}, step) {
		return fmt.Sprintf("{ answer: %s, with: %s }", step, word)
	}
	return step + ": " + word
}

// short writes a length of time as definitions do.
func short(d time.Duration) string {
	if d%time.Second != 0 {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%ds", int64(d/time.Second))
}

// yamlText writes a text so that YAML reads it as that text.
func yamlText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
