package scenario

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
)

// moves reads the steps of a scenario. first is the flow that it starts.
func (r *reader) moves(root, n *yaml.Node, s *Scenario, first *flowdefs.Flow) {
	if n == nil || n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.fail(root, "steps: expected a list of at least one step")
		return
	}
	known := &names{steps: map[string]bool{}, options: map[string]bool{}}
	known.add(first)
	expects := false
	for _, item := range n.Content {
		m := r.move(item, known)
		expects = expects || m.Verb == VerbExpect
		s.Moves = append(s.Moves, m)
	}
	if !expects {
		r.fail(n, "steps: nothing is expected, so nothing is tested; end with expect: { ... }")
	}
}

// names is what the flows of a scenario have. They grow with every run that it starts.
type names struct {
	steps, options map[string]bool
	unknown        bool // the flow could not be read: nothing is reported
}

func (k *names) add(f *flowdefs.Flow) {
	if f == nil {
		k.unknown = true
		return
	}
	k.nodes(f.Steps)
	for _, h := range f.Handlers {
		k.nodes(h.Steps)
	}
}

func (k *names) nodes(list []flowdefs.Node) {
	for i := range list {
		k.node(&list[i])
	}
}

func (k *names) node(n *flowdefs.Node) {
	if n.Kind == flowdefs.Step || n.Kind == flowdefs.Delay {
		k.steps[n.ID] = true
	}
	for i := range n.Options {
		k.options[n.Options[i].ID] = true
	}
	k.nodes(n.Options)
	k.nodes(n.Steps)
	if n.Otherwise != nil {
		k.node(n.Otherwise)
	}
}

// verbs are the words that a step of a scenario can be known by. A step of the
// flow that has such a name is answered with { answer: NAME, with: WORD }.
func verbs() []string {
	return []string{"answer", "pick", "choose_other", "back", "restart", "cancel", "resend", "activate", "after", "provider", "browser", "start", "expect"}
}

// move reads one step: a word, or a mapping with one verb and what belongs to it.
func (r *reader) move(n *yaml.Node, known *names) Move {
	m := Move{Times: 1, Pos: r.pos(n)}
	if n.Kind == yaml.ScalarNode {
		switch Verb(n.Value) {
		case VerbChooseOther, VerbBack, VerbRestart, VerbCancel, VerbResend:
			m.Verb = Verb(n.Value)
		default:
			r.fail(n, "a step: expected choose_other, back, restart, cancel, resend or a mapping, found %s", describe(n))
		}
		return m
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "a step: expected a mapping, found %s", describe(n))
		return m
	}
	answers, found := false, 0
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch key.Value {
		case "times":
			r.whole("times", 1, &m.Times)(value)
		case "hurry":
			r.flag("hurry", &m.Hurry)(value)
		case "with":
			r.how(value, &m)
		default:
			found++
			answers = r.verb(key, value, &m, known)
		}
	}
	if found != 1 {
		r.fail(n, "a step: expected one thing to do, found %d", found)
	}
	if m.Times > 1 && !answers {
		r.fail(n, "times: only an answer can be repeated")
	}
	if answers && m.Word == "" && m.Body == nil && len(r.problems) == 0 {
		r.fail(n, "answer: expected with: WORD")
	}
	return m
}

// verb reads what is done, and says whether it is an answer.
func (r *reader) verb(key, value *yaml.Node, m *Move, known *names) bool {
	m.Verb = Verb(key.Value)
	switch m.Verb {
	case VerbAnswer:
		r.text("answer", &m.Name)(value)
		r.knows(value, known, known.steps, "step", m.Name)
		return true
	case VerbPick:
		r.text("pick", &m.Name)(value)
		r.knows(value, known, known.options, "option", m.Name)
	case VerbActivate:
		r.text("activate", &m.Name)(value)
		r.knows(value, known, known.steps, "step", m.Name)
	case VerbAfter:
		r.duration("after", &m.Wait)(value)
	case VerbProvider:
		r.outage(value, m)
	case VerbBrowser:
		r.word("browser", &m.Word, looks, confirms, denies)(value)
	case VerbStart:
		r.restart(value, m, known)
	case VerbExpect:
		m.Expect = r.expect(value)
	case VerbResend:
		var now bool
		if r.flag("resend", &now)(value); !now {
			r.fail(value, "resend: expected true")
		}
	case VerbChooseOther, VerbBack, VerbRestart, VerbCancel:
		r.fail(value, "%s stands alone: - %s", key.Value, key.Value)
	default:
		m.Verb, m.Name = VerbAnswer, key.Value
		if !known.unknown && !known.steps[m.Name] {
			r.fail(key, "no step %q is in the flow%s", m.Name, nearest(m.Name, slices.Concat(keysOf(known.steps), verbs())))
		}
		r.how(value, m)
		return true
	}
	return false
}

func (r *reader) knows(n *yaml.Node, known *names, in map[string]bool, what, name string) {
	if !known.unknown && name != "" && !in[name] {
		r.fail(n, "no %s %q is in the flow%s", what, name, nearest(name, keysOf(in)))
	}
}

// how reads how a step is answered: by a word, or with a body.
func (r *reader) how(n *yaml.Node, m *Move) {
	if n.Kind != yaml.MappingNode {
		r.text("an answer", &m.Word)(n)
		return
	}
	body, err := json.Marshal(r.value(n))
	if err != nil {
		r.fail(n, "an answer: %v", err)
	}
	m.Body = body
}

// outage reads "down" or "up", or a mapping of providers to one of them.
func (r *reader) outage(n *yaml.Node, m *Move) {
	word := ""
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 {
		m.Name = n.Content[0].Value
		if _, ok := r.set.Providers[m.Name]; !ok {
			r.fail(n.Content[0], "no provider %q is defined%s", m.Name, nearest(m.Name, keysOf(r.set.Providers)))
		}
		n = n.Content[1]
	}
	r.word("provider", &word, "up", "down")(n)
	m.Up = word == "up"
}

// restart reads the start of another run: the name of a target, or what a start can say.
func (r *reader) restart(n *yaml.Node, m *Move, known *names) {
	m.Start.Pos = r.pos(n)
	if n.Kind == yaml.ScalarNode {
		r.text("start", &m.Start.Target)(n)
	} else {
		session := true
		fields := r.startFields(&m.Start)
		fields["session"] = r.flag("session", &session)
		r.fields(n, "start", fields)
		m.Start.NoSession = !session
	}
	known.add(r.startable(n, &m.Start))
}

// seconds rounds up: who waits that long has waited long enough.
func seconds(d time.Duration) int64 { return int64((max(d, 0) + time.Second - 1) / time.Second) }

// dotted names a member for people.
func dotted(path []string) string { return strings.Join(path, ".") }
