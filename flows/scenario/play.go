package scenario

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

const (
	maxWaits = 20 // times that one answer is repeated because it was throttled
	wrong    = "wrong"
	ok       = "ok"
)

// Failure is one thing that was not as a scenario says.
type Failure struct {
	flowdefs.Problem
	View string // the last answer in one line, "" if there was none
}

// player plays one scenario in one world.
type player struct {
	set   *flowdefs.Set
	world *World
	clock *Clock
	d     driver

	last    answer // the last answer
	view    answer // the last that showed the run
	handle  string
	session string
	sent    int    // messages that were sent so far
	shown   string // what a page has shown last, to be typed into the app
	def     *flowdefs.Flow
	names   []string // the flows that def consists of
	client  string
	log     []exchange
	runs    []*trace
}

// exchange is what was answered to one move.
type exchange struct {
	pos   flowdefs.Pos
	reply reply
}

// play plays a scenario, and before it the one that it begins with.
func (p *player) play(ctx context.Context, s *Scenario) *Failure {
	if s.After != nil {
		if f := p.play(ctx, s.After); f != nil {
			return f
		}
		if p.session == "" {
			return p.fail(s.Pos, "scenario %q left no session", s.After.Name)
		}
	}
	if f := p.start(ctx, s.Start); f != nil {
		return f
	}
	if f := p.unexpected(s.Start.Pos, ok, next(s.Moves, -1)); f != nil {
		return f
	}
	for i := range s.Moves {
		m := s.Moves[i]
		m.Hurry = m.Hurry || s.Hurry
		for n := range m.Times {
			after := next(s.Moves, i)
			if n < m.Times-1 {
				after = nil
			}
			if f := p.move(ctx, m, after); f != nil {
				return f
			}
		}
	}
	return nil
}

// next is the expectation that follows a move at once, nil if none does.
func next(moves []Move, i int) *Expect {
	if i+1 < len(moves) {
		return moves[i+1].Expect
	}
	return nil
}

func (p *player) fail(pos flowdefs.Pos, format string, args ...any) *Failure {
	f := &Failure{Problem: flowdefs.Problem{Pos: pos, Message: fmt.Sprintf(format, args...)}}
	if p.last.http != 0 {
		f.View = p.last.String()
	}
	return f
}

// move makes one move. expected is the expectation that follows it.
func (p *player) move(ctx context.Context, m Move, expected *Expect) *Failure {
	word := ok
	var f *Failure
	switch m.Verb {
	case VerbExpect:
		return p.expect(m)
	case VerbAfter:
		p.clock.Pass(m.Wait)
		return p.refresh(ctx, m)
	case VerbProvider:
		return p.outage(m)
	case VerbBrowser:
		return p.browser(ctx, m)
	case VerbStart:
		f = p.start(ctx, m.Start)
	case VerbAnswer:
		word = m.Word
		f = p.answer(ctx, m)
	case VerbPick:
		if p.handed() {
			f = p.pickOnPage(ctx, m)
			break
		}
		f = p.body(ctx, m, "select", map[string]string{"select": m.Name})
	case VerbActivate:
		f = p.body(ctx, m, "activate", map[string]string{"step": m.Name})
	case VerbChooseOther:
		f = p.body(ctx, m, string(m.Verb), map[string]string{})
	case VerbResend:
		f = p.patiently(m, func() *Failure { return p.act(ctx, m, string(m.Verb), nil) })
	default: // back, restart, cancel
		f = p.act(ctx, m, string(m.Verb), nil)
		if m.Verb == VerbRestart && f == nil && !p.last.refused() {
			p.begun()
		}
	}
	if f != nil {
		return f
	}
	return p.unexpected(m.Pos, word, expected)
}

// unexpected holds what no scenario has to say: what is right is accepted, and
// what is wrong is not. A refusal that an expectation names is no surprise.
func (p *player) unexpected(pos flowdefs.Pos, word string, expected *Expect) *Failure {
	switch {
	case word == ok && p.last.refused() && (expected == nil || !expected.names("code", "http")):
		return p.fail(pos, "the answer is a refusal that nothing after it expects: %d %s", p.last.http, p.last.doc.Code)
	case word == wrong && !p.last.refused():
		return p.fail(pos, "a wrong answer was accepted")
	}
	return nil
}

func (p *player) expect(m Move) *Failure {
	problems := m.Expect.compare(&p.last)
	if len(problems) == 0 {
		return nil
	}
	f := p.fail(problems[0].Pos, "%s", problems[0].Message)
	for _, more := range problems[1:] {
		f.Message += "\n" + more.Message
	}
	return f
}

// refresh shows the run again after time has passed, as an app would.
func (p *player) refresh(ctx context.Context, m Move) *Failure {
	if p.view.doc.Flow == nil || p.view.doc.Flow.Status != string(flows.InProgress) {
		return nil
	}
	r, err := p.d.show(ctx, p.handle)
	return p.take(m.Pos, r, err)
}

func (p *player) outage(m Move) *Failure {
	if p.world.Provider == nil {
		return p.fail(m.Pos, "provider: this world has no providers")
	}
	if err := p.world.Provider(m.Name, m.Up); err != nil {
		return p.fail(m.Pos, "provider: %v", err)
	}
	return nil
}

// start starts a run.
func (p *player) start(ctx context.Context, s Start) *Failure {
	body := startBody{
		ClientID: s.Client, Flow: s.Flow, Target: s.Target, ACRValues: s.ACRValues, LoginHint: s.LoginHint, Provider: s.Provider,
		Locale: s.Locale, Capabilities: s.Capabilities, Activate: s.Activate, Transaction: s.Transaction,
	}
	if s.MaxAge != nil {
		age := int64(*s.MaxAge / time.Second)
		body.MaxAge = &age
	}
	if !s.NoSession {
		body.Session = p.session
	}
	if t := p.set.Targets[s.Target]; t != nil && t.Coded() {
		sum := sha256.Sum256([]byte("what the app of every scenario keeps to itself"))
		body.CodeChallenge = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	p.view, p.handle, p.client = answer{}, "", s.Client
	p.def, p.names = definition(p.set, s), owners(p.set, s)
	r, err := p.d.start(ctx, body)
	if f := p.take(s.Pos, r, err); f != nil {
		return f
	}
	p.begun()
	return nil
}

// origin is where the client's page is from, "" if it has none.
func (p *player) origin() string {
	c := p.set.Clients[p.client]
	if c == nil || len(c.Origins) == 0 {
		return ""
	}
	return c.Origins[0]
}

// definition is the flow that a start runs.
func definition(set *flowdefs.Set, s Start) *flowdefs.Flow {
	t, ok := set.Targets[s.Target]
	switch {
	case !ok:
		return set.Flows[s.Flow]
	case t.Composed != nil && len(t.Authorize) > 0:
		return t.Composed
	}
	return set.Flows[t.Flow]
}

// owners are the names of the flows that a start runs, one behind the other.
func owners(set *flowdefs.Set, s Start) []string {
	t, ok := set.Targets[s.Target]
	if !ok {
		return []string{s.Flow}
	}
	return append([]string{t.Flow}, t.Authorize...)
}

// begun notes a new run.
func (p *player) begun() {
	if p.last.doc.Flow == nil {
		return
	}
	p.runs = append(p.runs, newTrace(p.def, p.names, p.last.doc.Flow.ID))
	p.note()
}

// note adds what the last answer shows to the run's trace.
func (p *player) note() {
	if k := len(p.runs); k > 0 && p.last.doc.Flow != nil && p.runs[k-1].id == p.last.doc.Flow.ID {
		p.runs[k-1].see(&p.last)
	}
}

// take reads an answer.
func (p *player) take(pos flowdefs.Pos, r reply, err error) *Failure {
	if err != nil {
		return p.fail(pos, "%v", err)
	}
	p.log = append(p.log, exchange{pos, r})
	if p.last, err = parse(r); err != nil {
		return p.fail(pos, "%v", err)
	}
	if p.world.Outbox != nil {
		all := p.world.Outbox()
		p.last.sent, p.sent = all[p.sent:], len(all)
	}
	d := &p.last.doc
	if d.Flow != nil {
		p.view = p.last
	}
	if d.Handle != "" {
		p.handle = d.Handle
	}
	if d.Result != nil && d.Result.Session != "" {
		p.session = d.Result.Session
	}
	p.note()
	return nil
}

// act does what the view offers under that name.
func (p *player) act(ctx context.Context, m Move, name string, body json.RawMessage) *Failure {
	a, offered := p.view.action(name)
	if !offered {
		return p.fail(m.Pos, "%s is not offered", name)
	}
	r, err := p.d.act(ctx, p.handle, a, body)
	return p.take(m.Pos, r, err)
}

func (p *player) body(ctx context.Context, m Move, name string, value map[string]string) *Failure {
	text, err := json.Marshal(value)
	if err != nil {
		return p.fail(m.Pos, "%v", err)
	}
	if m.Verb == VerbPick && !slices.Contains(p.view.options(), any(m.Name)) {
		return p.fail(m.Pos, "option %q is not offered", m.Name)
	}
	return p.act(ctx, m, name, text)
}

// answer answers the prompt.
func (p *player) answer(ctx context.Context, m Move) *Failure {
	return p.patiently(m, func() *Failure {
		if f := p.asked(m); f != nil {
			return f
		}
		if p.handed() {
			return p.onPage(ctx, m, func(page flows.Page) (json.RawMessage, error) { return p.made(ctx, m, page.Data) })
		}
		body, err := p.made(ctx, m, p.view.doc.NextStep.Data)
		if err != nil {
			return p.fail(m.Pos, "%s: %s: %v", m.Name, m.Word, err)
		}
		return p.act(ctx, m, "submit", body)
	})
}

// patiently does something, and again when the time has come if it was too early.
func (p *player) patiently(m Move, do func() *Failure) *Failure {
	for range maxWaits {
		if f := do(); f != nil {
			return f
		}
		wait := time.Duration(p.last.doc.RetryAfter) * time.Second
		if p.last.http != statusOf(flows.KindThrottled) || wait == 0 || m.Hurry {
			return nil
		}
		p.clock.Pass(wait)
	}
	return p.fail(m.Pos, "%s is throttled for ever", cmp.Or(m.Name, string(m.Verb)))
}

// asked says whether the step of an answer is the one that waits.
func (p *player) asked(m Move) *Failure {
	n := p.view.doc.NextStep
	switch {
	case n == nil && p.view.doc.Flow == nil:
		return p.fail(m.Pos, "step %q is not asked: there is no run", m.Name)
	case n == nil:
		return p.fail(m.Pos, "step %q is not asked: the run is %s", m.Name, p.view.doc.Flow.Status)
	case n.StepID != m.Name:
		return p.fail(m.Pos, "step %q is not asked: %s is", m.Name, n.StepID)
	}
	return nil
}

// made makes the answer to a prompt: what is written out, or what a word stands for.
func (p *player) made(ctx context.Context, m Move, data json.RawMessage) (json.RawMessage, error) {
	if m.Body != nil {
		return m.Body, nil
	}
	n := find(p.def, m.Name)
	if n == nil || n.Kind == flowdefs.Delay {
		return json.RawMessage(`{}`), nil
	}
	if a, found := p.world.Actors[n.Type]; found {
		return a(ctx, Prompt{Step: n.ID, Data: data, Word: m.Word, Client: p.client, Shown: p.shown})
	}
	if t, found := p.world.Lookup(n.Type); found && t.Actor != nil {
		return t.Actor(data, m.Word)
	}
	if m.Word != ok {
		return nil, fmt.Errorf("nobody knows how to answer the step type %s so; write the answer out: { member: value }", n.Type)
	}
	return json.RawMessage(`{}`), nil
}

// find finds a node by its id.
func find(f *flowdefs.Flow, id string) *flowdefs.Node {
	var found *flowdefs.Node
	each(f, func(n *flowdefs.Node) {
		if n.ID == id && id != "" {
			found = n
		}
	})
	return found
}

// each calls fn on every node of a flow.
func each(f *flowdefs.Flow, fn func(*flowdefs.Node)) {
	if f == nil {
		return
	}
	walk(f.Steps, fn)
	for _, h := range f.Handlers {
		walk(h.Steps, fn)
	}
}

func walk(list []flowdefs.Node, fn func(*flowdefs.Node)) {
	for i := range list {
		n := &list[i]
		fn(n)
		walk(n.Options, fn)
		walk(n.Steps, fn)
		if n.Otherwise != nil {
			walk([]flowdefs.Node{*n.Otherwise}, fn)
		}
	}
}
