package flows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// The invariants of the engine, held over random definitions and random
// sequences of requests on every store. The failures of other products that
// each would have stopped are named beside its check in world.check.
func TestInvariants(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) { play(t, rt, open) })
		})
	}
}

func play(t *testing.T, rt *rapid.T, open func(testing.TB, cleaner) ports) {
	t.Helper()
	first, next := generate(rt), generate(rt)
	w := &model{rt: rt, k: newKitOn(t, first.text, open(t, rt)), runs: map[string]*modelRun{}}
	w.nodes = []node{{w.k.engine, first}}
	rt.Repeat(map[string]func(*rapid.T){
		"start":   w.start,
		"answer":  w.answer,
		"right":   w.right,
		"pick":    w.pick,
		"stale":   w.stale,
		"thief":   w.thief,
		"around":  w.around,
		"time":    func(rt *rapid.T) { w.k.clock.pass(time.Duration(rapid.IntRange(0, 200).Draw(rt, "s")) * time.Second) },
		"status":  w.status,
		"slip":    w.slip,
		"opened":  w.opened,
		"wish":    w.wish,
		"upgrade": func(*rapid.T) { w.upgrade(next) },
		"":        func(*rapid.T) { w.check() },
	})
}

// flowText is a random definition, and what the model must know of it.
type flowText struct {
	text      string
	types     map[string]string // step id to type
	routed    map[string]bool   // steps whose failures lead to a handler
	mandatory []string          // ids of steps that every completing run must have done
	kind      string
	behind    string // type of the step that runs behind it for the target, if any
	requires  assurance.Level
	maxAge    time.Duration
}

var conditions = []string{
	`device.bound`, `'!device.bound'`, `account.has("code")`, `account.has("secret")`, `acr >= level.aal1`,
	`acr >= level.aal2`, `"a" in tags`, `account.attributes.nothing == "x"`, `account.attributes.branch == "Zurich"`, `'!account.has("code")'`,
}

func generate(rt *rapid.T) flowText {
	g := &generator{rt: rt, f: flowText{types: map[string]string{}, routed: map[string]bool{}}}
	g.items(rapid.IntRange(1, 4).Draw(rt, "steps"), "      ", true)
	if g.handled {
		g.handler()
	}
	g.f.requires = assurance.Level(rapid.IntRange(0, 2).Draw(rt, "acr"))
	var req []string
	if g.f.requires > 0 {
		req = append(req, "acr: "+g.f.requires.String())
	}
	if rapid.Bool().Draw(rt, "aged") {
		g.f.maxAge = 2 * time.Minute
		req = append(req, "max_age: 2m")
	}
	g.f.text = definitions(g.out.String(), "{ "+strings.Join(req, ", ")+" }")
	if g.subs {
		g.f.text += subflows
	}
	g.manner()
	return g.f
}

// manner is what the flow is for, how long a run may take, what clients may do
// in it, and what runs behind it for the target.
func (g *generator) manner() {
	var keys []string
	if g.f.kind = rapid.SampledFrom([]string{"", "", "", "", "recovery", "self_service", "transaction", "registration"}).Draw(g.rt, "kind"); g.f.kind != "" {
		keys = append(keys, "kind: "+g.f.kind)
	}
	if rapid.IntRange(0, 3).Draw(g.rt, "short") == 0 {
		keys = append(keys, "timeout: 4m")
	}
	for _, key := range []string{"back: false", "restart: false"} {
		if rapid.IntRange(0, 3).Draw(g.rt, key) == 0 {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		g.f.text = strings.Replace(g.f.text, "  f:\n", "  f:\n    "+key+"\n", 1)
	}
	if rapid.IntRange(0, 3).Draw(g.rt, "behind") == 0 {
		g.f.behind = "code"
		g.f.types["behind"] = g.f.behind
		g.f.text = strings.Replace(g.f.text, "flows:\n", "flows:\n  a: { kind: authorization, steps: [{ id: behind, type: code }] }\n", 1)
		g.f.text = strings.Replace(g.f.text, "    flow: f\n", "    flow: f\n    authorize: [a]\n", 1)
	}
}

type generator struct {
	rt      *rapid.T
	f       flowText
	out     strings.Builder
	n       int
	tops    []string // ids of the flow's own sequence so far
	skips   bool     // a goto may skip steps
	handled bool     // some exit leads to the handler h
	subs    bool     // a sub-flow is used
}

const subflows = `
subflows:
  sub:
    parameters: { when: string }
    steps:
      - { id: word, type: secret, attempts: { max: 2 } }
      - { id: read, type: note, if: { param: when } }
`

// special adds a node that asks nothing, or a delay.
func (g *generator) special(indent string) {
	line := func(format string, args ...any) { fmt.Fprintf(&g.out, indent+"- "+format+"\n", args...) }
	g.n++
	switch rapid.IntRange(0, 9).Draw(g.rt, "special") {
	case 9:
		id := fmt.Sprintf("u%d", g.n)
		g.subs, g.f.types[id+".word"], g.f.types[id+".read"] = true, "secret", "note"
		line("{ id: %s, use: sub, with: { when: %s } }", id, quoted(rapid.SampledFrom(conditions).Draw(g.rt, "when")))
	case 0:
		if len(g.tops) > 0 {
			g.skips, g.f.mandatory = true, nil // what a goto skips is not done
			line("{ goto: %s, max: %d%s%s }", rapid.SampledFrom(g.tops).Draw(g.rt, "to"), rapid.IntRange(1, 2).Draw(g.rt, "times"),
				rapid.SampledFrom([]string{"", ", counts: true"}).Draw(g.rt, "counts"), g.maybeIf())
			return
		}
		line("{ tag: { set: [a] } }")
	case 1:
		line("{ fail: some_code, if: %s }", quoted(rapid.SampledFrom(conditions).Draw(g.rt, "condition")))
	case 2:
		line("{ abort: true, if: %s }", quoted(rapid.SampledFrom(conditions).Draw(g.rt, "condition")))
	case 3:
		line("{ tag: { set: [a, b], for: 60s }%s }", g.maybeIf())
	case 4:
		line("{ tag: { remove: [a] }%s }", g.maybeIf())
	case 5:
		line("{ oblige: duty%s }", g.maybeIf())
	case 6:
		line(`{ id: d%d, decide: 'account.has("code") ? "continue" : "away"', on: { away: h } }`, g.n)
		g.handled = true
	case 7:
		line(`{ assign: { x: 'target + "!"' }%s }`, g.maybeIf())
	case 8:
		line("{ id: w%d, delay: 20s%s }", g.n, g.maybeIf())
	}
}

// handler ends in a failure, in a goto, or at its end.
func (g *generator) handler() {
	g.f.mandatory = slices.Clone(g.f.mandatory)
	g.out.WriteString("    handlers:\n      h:\n")
	g.step("        ", false)
	if len(g.tops) > 0 && rapid.Bool().Draw(g.rt, "returns") {
		g.skips, g.f.mandatory = true, nil
		fmt.Fprintf(&g.out, "        - { goto: %s, max: 1 }\n", rapid.SampledFrom(g.tops).Draw(g.rt, "to"))
	}
}

// group is an option of two steps.
func (g *generator) group(indent string) {
	g.n++
	fmt.Fprintf(&g.out, "%s- id: g%d\n%s  steps:\n", indent, g.n, indent)
	g.step(indent+"    ", false)
	g.step(indent+"    ", false)
}

func (g *generator) maybeIf() string {
	if rapid.IntRange(0, 2).Draw(g.rt, "if") > 0 {
		return ""
	}
	return ", if: " + quoted(rapid.SampledFrom(conditions).Draw(g.rt, "condition"))
}

func quoted(c string) string {
	if strings.HasPrefix(c, "'") {
		return c
	}
	return "'" + c + "'"
}

func (g *generator) items(n int, indent string, top bool) {
	for range n {
		switch rapid.IntRange(0, 16).Draw(g.rt, "kind") {
		case 7:
			g.special(indent)
		case 8:
			g.choose(indent, 2)
		case 0:
			fmt.Fprintf(&g.out, "%s- { require: %s }\n", indent, quoted(rapid.SampledFrom(conditions).Draw(g.rt, "guard")))
		case 1, 2:
			g.choose(indent, 2)
		default:
			g.step(indent, top)
		}
	}
	if len(g.f.types) == 0 {
		g.step(indent, top)
	}
}

func (g *generator) step(indent string, top bool) {
	fmt.Fprintf(&g.out, "%s- %s\n", indent, g.inline(top, g.maybeIf()))
}

func (g *generator) inline(top bool, cond string) string {
	g.n++
	id := fmt.Sprintf("s%d", g.n)
	typ := rapid.SampledFrom([]string{"secret", "secret", "code", "code", "sso", "bind", "note", "mail"}).Draw(g.rt, "type")
	g.f.types[id] = typ
	if top {
		g.tops = append(g.tops, id)
	}
	attempts := ""
	if typ == "sso" {
		attempts = rapid.SampledFrom([]string{"", ", with: { provider: one }", ", with: { provider: two }"}).Draw(g.rt, "realm")
	}
	wished := top && len(g.tops) > 1 && rapid.IntRange(0, 7).Draw(g.rt, "wished") == 0 // runs only if the client asks for it
	if wished {
		attempts += ", activate: true"
	}
	if top && cond == "" && !g.skips && !wished {
		g.f.mandatory = append(g.f.mandatory, id)
	}
	if rapid.Bool().Draw(g.rt, "limited") {
		attempts += fmt.Sprintf(", attempts: { max: %d }", rapid.IntRange(1, 3).Draw(g.rt, "max"))
	}
	if typ == "mail" {
		attempts += fmt.Sprintf(", resend: { max: %d, every: %ds }", rapid.IntRange(0, mostResends).Draw(g.rt, "resends"), rapid.IntRange(1, 30).Draw(g.rt, "every"))
	}
	switch rapid.IntRange(0, 11).Draw(g.rt, "extra") {
	case 0:
		attempts += ", timeout: 90s"
	case 1:
		attempts += ", settles: [duty]"
	case 2:
		attempts += ", timeout: 80s, on: { exhausted: h, timeout: h, denied: h, unavailable: h }"
		g.handled, g.f.routed[id] = true, true
	}
	return fmt.Sprintf("{ id: %s, type: %s%s%s }", id, typ, attempts, cond)
}

func (g *generator) choose(indent string, depth int) {
	g.n++
	fmt.Fprintf(&g.out, "%s- id: c%d\n", indent, g.n)
	if cond := g.maybeIf(); cond != "" {
		fmt.Fprintf(&g.out, "%s  %s\n", indent, strings.TrimPrefix(cond, ", "))
	}
	wanted, deeper := rapid.IntRange(1, 3).Draw(g.rt, "options"), "    "
	if wanted > 1 && rapid.IntRange(0, 3).Draw(g.rt, "any") == 0 {
		fmt.Fprintf(&g.out, "%s  any:\n%s    of: %d\n%s    options:\n", indent, indent, rapid.IntRange(1, wanted).Draw(g.rt, "of"), indent)
		deeper = "      "
	} else {
		fmt.Fprintf(&g.out, "%s  choose:\n", indent)
	}
	for range wanted {
		switch nested := rapid.IntRange(0, 5).Draw(g.rt, "nested"); {
		case depth > 1 && nested == 0:
			g.choose(indent+deeper, depth-1)
		case nested == 1:
			g.group(indent + deeper)
		default:
			g.step(indent+deeper, false)
		}
	}
	if rapid.Bool().Draw(g.rt, "otherwise") {
		fmt.Fprintf(&g.out, "%s  otherwise: %s\n", indent, g.inline(false, ""))
	}
}

// proof is what the model saw accepted.
type proof struct {
	typ     string
	at      time.Time
	binding assurance.Level
}

type modelRun struct {
	talk    *talk
	def     flowText
	key     string
	target  bool
	proofs  []proof
	session []proof // of the session that it presented
	handles []flows.Secret
	done    bool
	begun   time.Time
	passed  map[string]int // step to how often it was passed

	enrolled bool
}

// proves says whether a step is one that proves something.
func (r *modelRun) proves(step string) bool {
	typ := r.def.types[step]
	return typ == "secret" || typ == "code" || typ == "sso" || typ == "mail"
}

type node struct {
	engine *flows.Engine
	def    flowText
}

type model struct {
	rt       *rapid.T
	k        *kit
	nodes    []node // a node for each definition that was ever live
	runs     map[string]*modelRun
	order    []*modelRun
	sessions []keptSession
	secrets  []string
	issued   int
}

type keptSession struct {
	secret flows.Secret
	key    string
	proofs []proof
}

func (w *model) live() node { return w.nodes[len(w.nodes)-1] }

func (w *model) upgrade(next flowText) {
	if len(w.nodes) == 1 {
		w.nodes = append(w.nodes, node{w.k.another(next.text), next})
	}
}

func (w *model) start(rt *rapid.T) {
	if len(w.runs) > 6 {
		return
	}
	q := flows.StartRequest{ClientID: "app", LoginHint: rapid.SampledFrom([]string{"", "jane", "jane", "bob", "bare", "gone", "nobody", "jane@one.example"}).Draw(rt, "hint")}
	q.Provider = rapid.SampledFrom([]string{"", "", "one", "two", "three"}).Draw(rt, "remembered")
	r := &modelRun{passed: map[string]int{}, begun: w.k.clock.now(), def: w.live().def, target: rapid.IntRange(0, 3).Draw(rt, "target") > 0}
	if rapid.Bool().Draw(rt, "keyed") {
		q.ClientID, r.key = "bound", rapid.SampledFrom([]string{"key-1", "key-2"}).Draw(rt, "key")
	}
	if q.ClientID == "app" && rapid.Bool().Draw(rt, "paged") {
		q.ClientID, q.Capabilities = "paged", drawable(rt)
	}
	if q.Flow = "f"; r.target {
		q.Flow, q.Target = "", "t"
	}
	if len(w.sessions) > 0 && rapid.Bool().Draw(rt, "with session") {
		s := w.sessions[rapid.IntRange(0, len(w.sessions)-1).Draw(rt, "session")]
		if q.Session = s.secret; s.key == r.key {
			r.session = s.proofs
		}
	}
	w.k.engine = w.live().engine
	tk, err := w.k.start(q, flows.Caller{Key: r.key})
	r.talk = tk
	w.after(r, err, "", "")
}

// drawable is what an app draws that leaves the rest to pages.
func drawable(rt *rapid.T) []string {
	draws := []string{flows.CodeHandover, flows.CodeWait, "X_SSO_REQUIRED", "X_BIND_REQUIRED"}
	for _, code := range []string{flows.CodeSelection, "X_SECRET_REQUIRED", "X_CODE_REQUIRED", "X_MAIL_REQUIRED", "X_NOTE_REQUIRED"} {
		if rapid.Bool().Draw(rt, code) {
			draws = append(draws, code)
		}
	}
	return draws
}

// asks is the type of a prompt, and its data as far as the client sees it; of one
// that was handed over, the type of what the page draws.
func asks(n *flows.NextStep) (code string, data []byte) {
	data, _ = json.Marshal(n.Data)
	var d struct{ Prompt string }
	if n.Type == flows.CodeHandover && json.Unmarshal(data, &d) == nil {
		return d.Prompt, data
	}
	return n.Type, data
}

func (w *model) some(rt *rapid.T) *modelRun {
	if len(w.order) == 0 {
		rt.Skip("no run")
	}
	r := w.order[rapid.IntRange(0, len(w.order)-1).Draw(rt, "run")]
	r.talk.e = w.nodes[rapid.IntRange(0, len(w.nodes)-1).Draw(rt, "node")].engine // any node answers any run
	return r
}

// after takes over what an answer said and what it proved.
func (w *model) after(r *modelRun, err error, step, answer string) {
	v := r.talk.view
	if err != nil {
		data, _ := json.Marshal(err.Error())
		w.leaks(string(data))
	}
	if v.Flow.ID == "" {
		return
	}
	if _, known := w.runs[v.Flow.ID]; !known {
		w.runs[v.Flow.ID] = r
		w.order = append(w.order, r)
	}
	if h := r.talk.handle; h != "" && (len(r.handles) == 0 || r.handles[len(r.handles)-1] != h) {
		r.handles = append(r.handles, h)
		w.secrets = append(w.secrets, string(h))
	}
	passed := w.passed(v.Flow.ID, step)
	looked := passed > r.passed[step] // an answer that comes too late is not looked at
	r.passed[step] = passed
	switch typ := r.def.types[step]; {
	case err != nil || r.proves(step) && !looked:
	case r.proves(step) && answer == "ok":
		r.proofs = append(r.proofs, proof{typ, w.k.clock.now(), w.binding(r, typ)})
	case r.proves(step) && answer == "own": // a key that another run enrolled
		r.proofs = append(r.proofs, proof{typ, w.k.clock.now(), assurance.AAL2})
	case typ == "bind" && (answer == "ok" || answer == "no"):
		r.enrolled = true
	}
	if v.Result != nil && !r.done {
		w.completed(r, v)
	}
	r.talk.view.Result = nil
}

// passed is how often the audit trail says that a step was passed.
func (w *model) passed(run, step string) int {
	n := 0
	for _, e := range w.k.events.all() {
		if e.Run == run && e.Step == step && e.Type == flows.EventStepPassed {
			n++
		}
	}
	return n
}

// binding is the level at which the authenticator that the fake step finds was bound.
func (w *model) binding(r *modelRun, typ string) assurance.Level {
	if r.def.kind == "recovery" {
		return assurance.AAL1 // whatever it proves
	}
	if typ == "sso" {
		return assurance.AAL2
	}
	if typ == "mail" {
		typ = "secret" // what the fake step checks
	}
	events := w.k.events.all()
	for _, e := range slices.Backward(events) {
		if e.Run != r.talk.view.Flow.ID || e.Subject == "" {
			continue
		}
		a, _ := w.k.people.Account(context.Background(), e.Subject)
		for _, au := range a.Authenticators {
			if au.Type == typ {
				return au.Binding
			}
		}
	}
	return assurance.None
}

func (w *model) right(rt *rapid.T) {
	r := w.some(rt)
	if n := r.talk.view.NextStep; n != nil && n.Type == flows.CodeWait {
		w.k.clock.pass(20 * time.Second)
		w.after(r, r.talk.answer(n.StepID, r.talk.view.Flow.Turn, flows.Input(`{}`)), "", "")
	} else if n != nil && !selects(n) {
		step, turn := n.StepID, r.talk.view.Flow.Turn
		user := ""
		if r.def.types[step] == "sso" {
			user = rapid.SampledFrom([]string{"jane", "jane", "bob"}).Draw(rt, "user")
		}
		w.after(r, r.talk.answer(step, turn, in("ok", user)), step, "ok")
	}
}

func (w *model) answer(rt *rapid.T) {
	r := w.some(rt)
	n := r.talk.view.NextStep
	if n == nil {
		return
	}
	a := rapid.SampledFrom([]string{"ok", "no", "no", "down", "bug", "more", "own", "denied"}).Draw(rt, "answer")
	step, turn := n.StepID, r.talk.view.Flow.Turn
	body := in(a, rapid.SampledFrom([]string{"", "", "jane", "bob", "nobody"}).Draw(rt, "user"))
	switch rapid.IntRange(0, 9).Draw(rt, "form") {
	case 0: // an absent member is a failed check
		body = flows.Input(`{"user":"jane"}`)
	case 1:
		body = flows.Input(`{"answer":"ok","Answer":"no"}`)
	}
	before := r.talk.view.Flow.Turn
	err := r.talk.answer(step, turn, body)
	if accepted := err == nil && r.proves(step) && !r.def.routed[step]; accepted && (a == "more" || a == "down" || a == "own" && r.enrolled) {
		w.rt.Fatalf("answer %q was accepted at %s", a, step)
	}
	var p *flows.Problem
	if errors.As(err, &p) && (p.Kind == flows.KindUnavailable || p.Kind == flows.KindMalformed || p.Kind == flows.KindInternal || p.Kind == flows.KindThrottled) &&
		p.View != nil && p.View.Flow.Turn != before {
		w.rt.Fatalf("%s moved the run", p.Code)
	}
	if string(body) != string(in(a, userOf(body))) {
		a = "malformed"
	}
	w.after(r, err, step, a)
}

func userOf(b flows.Input) string {
	var a fakeAnswer
	_ = json.Unmarshal(b, &a)
	return a.User
}

func (w *model) pick(rt *rapid.T) {
	r := w.some(rt)
	n := r.talk.view.NextStep
	if n == nil || !selects(n) {
		return
	}
	option := "s1"
	if data := w.options(r); data != nil && rapid.IntRange(0, 5).Draw(rt, "offered") > 0 {
		var d struct {
			Options []struct {
				ID string `json:"id"`
			} `json:"options"`
		}
		_ = json.Unmarshal(data, &d)
		option = rapid.SampledFrom(d.Options).Draw(rt, "option").ID
	}
	amr := len(r.talk.view.Assurance.AMR)
	err := r.talk.answer(n.StepID, r.talk.view.Flow.Turn, flows.Input(`{"select":"`+option+`"}`))
	if s := r.talk.view; err == nil && s.Flow.Status == flows.InProgress && len(s.Assurance.AMR) > amr && !w.skipped(r) {
		w.rt.Fatal("selecting proved something")
	}
	w.after(r, err, "", "")
}

func selects(n *flows.NextStep) bool {
	code, _ := asks(n)
	return code == flows.CodeSelection
}

// options is the data of a selection: what the client is shown, or the page.
func (w *model) options(r *modelRun) []byte {
	n := r.talk.view.NextStep
	if n.Type != flows.CodeHandover {
		_, data := asks(n)
		return data
	}
	link, err := r.talk.link()
	if err != nil {
		w.after(r, err, "", "")
		return nil
	}
	w.secrets = append(w.secrets, string(link))
	page, err := r.talk.e.Linked(context.Background(), link, "")
	if err != nil {
		w.rt.Fatalf("a new link does not lead to a page: %v", err)
	}
	return page.Data
}

// slip opens a link twice, and hands what the page of one run gave to another
// run: nothing comes of either (RFC 6749 §10.12).
func (w *model) slip(rt *rapid.T) {
	var handed []*modelRun
	for _, r := range w.order {
		if n := r.talk.view.NextStep; n != nil && n.Type == flows.CodeHandover {
			handed = append(handed, r)
		}
	}
	if len(handed) == 0 {
		rt.Skip("no run waits for a page")
	}
	r := rapid.SampledFrom(handed).Draw(rt, "run")
	link, err := r.talk.link()
	if err != nil { // the account is disabled, or the time is over
		w.after(r, err, "", "")
		return
	}
	w.secrets = append(w.secrets, string(link))
	if _, err := r.talk.e.OpenLink(context.Background(), link, ""); err != nil {
		w.rt.Fatalf("a new link does not open: %v", err)
	}
	if _, err = r.talk.e.OpenLink(context.Background(), link, ""); err == nil {
		w.rt.Fatal("a link was opened twice")
	}
	query, err := r.talk.onPage(in("ok", "jane"))
	if err != nil {
		w.rt.Fatalf("another link does not open: %v", err)
	}
	for _, other := range handed {
		if other == r {
			continue
		}
		step, run := other.talk.view.NextStep.StepID, other.talk.view.Flow.ID
		before := w.passed(run, step)
		err := other.talk.send(step, other.talk.view.Flow.Turn, query) // no error: it was too late, and the step's exit is taken
		var p *flows.Problem
		if w.passed(run, step) != before || errors.As(err, &p) && p.Kind == flows.KindRejected && p.Code != flows.CodeNotHanded {
			w.rt.Fatalf("what another run's page gave came to %v", err)
		}
		w.after(other, err, "", "")
	}
}

// wish lets a later step run, or something that is none: it proves nothing.
func (w *model) wish(rt *rapid.T) {
	r := w.some(rt)
	if r.talk.view.NextStep == nil {
		return
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(r.def.types))).Draw(rt, "step")
	v, err := r.talk.e.Activate(context.Background(), r.talk.handle, r.talk.caller, r.talk.view.Flow.Turn, flows.Input(`{"step":"`+id+`"}`))
	w.after(r, r.talk.take(v, err), "", "")
}

func (w *model) skipped(r *modelRun) bool {
	return slices.ContainsFunc(w.k.events.all(), func(e flows.Event) bool {
		return e.Run == r.talk.view.Flow.ID && e.Type == flows.EventStepSkipped
	})
}

// stale sends what was sent before, and what is not asked.
func (w *model) stale(rt *rapid.T) {
	r := w.some(rt)
	before, _ := json.Marshal(r.talk.view.Assurance)
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(r.def.types))).Draw(rt, "step")
	turn := r.talk.view.Flow.Turn - rapid.IntRange(1, 3).Draw(rt, "behind")
	err := r.talk.answer(id, turn, in("ok", "bob"))
	if err == nil {
		w.rt.Fatal("a stale turn was accepted")
	}
	if after, _ := json.Marshal(r.talk.view.Assurance); string(after) != string(before) && r.talk.view.Flow.Status == flows.InProgress && r.def.maxAge == 0 {
		w.rt.Fatalf("a refused request changed %s into %s", before, after)
	}
	w.after(r, err, "", "")
}

// thief uses retired handles and foreign keys: one and the same answer.
func (w *model) thief(rt *rapid.T) {
	r := w.some(rt)
	for _, h := range r.handles[:len(r.handles)-1] {
		_, err := r.talk.e.Show(context.Background(), h, r.talk.caller)
		wants(w.k.t, err, flows.KindNotFound, flows.CodeNotFound)
	}
	_, err := r.talk.e.Cancel(context.Background(), r.talk.handle, flows.Caller{Key: "stolen"})
	wants(w.k.t, err, flows.KindNotFound, flows.CodeNotFound)
}

func (w *model) around(rt *rapid.T) {
	r := w.some(rt)
	ctx := context.Background()
	switch rapid.IntRange(0, 9).Draw(rt, "how") {
	case 8, 9:
		w.after(r, r.talk.resend(), "", "")
	case 0:
		v, err := r.talk.e.Cancel(ctx, r.talk.handle, r.talk.caller)
		w.after(r, r.talk.take(v, err), "", "")
	case 1, 2:
		v, err := r.talk.e.Back(ctx, r.talk.handle, r.talk.caller, r.talk.view.Flow.Turn)
		w.after(r, r.talk.take(v, err), "", "")
	case 3, 4:
		if n := r.talk.view.NextStep; n != nil {
			for _, a := range n.Actions {
				if a.Name == "choose_other" {
					step := strings.TrimSuffix(strings.TrimPrefix(a.Href, "/v1/flow/steps/"), fmt.Sprintf("?turn=%d", r.talk.view.Flow.Turn))
					w.after(r, r.talk.answer(step, r.talk.view.Flow.Turn, flows.Input(`{}`)), "", "")
				}
				if !strings.HasPrefix(a.Href, "/v1/flow") { // addresses come from configuration, and never name a host
					w.rt.Fatalf("href %q", a.Href)
				}
			}
		}
	default:
		v, err := r.talk.e.Show(ctx, r.talk.handle, r.talk.caller)
		w.after(r, r.talk.take(v, err), "", "")
	}
}

func (w *model) status(rt *rapid.T) {
	to := rapid.SampledFrom([]flows.AccountStatus{flows.AccountActive, flows.AccountActive, flows.AccountDisabled, "odd"}).Draw(rt, "to")
	w.k.people.change("sub-"+rapid.SampledFrom([]string{"jane", "bob"}).Draw(rt, "who"), func(a *flows.Account) { a.Status = to })
}
