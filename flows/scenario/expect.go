package scenario

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// statuses are the states of a run.
func statuses() []string { return []string{"in_progress", "completed", "failed", "cancelled"} }

// expectation reads one expect.
type expectation struct {
	*reader
	wants []want
}

func (x *expectation) add(n *yaml.Node, v any, path ...string) {
	x.wants = append(x.wants, want{path: path, value: v, pos: x.pos(n)})
}

// expect reads what the last answer must have been.
func (r *reader) expect(n *yaml.Node) *Expect {
	x := &expectation{reader: r}
	ok := r.fields(n, "expect", map[string]func(*yaml.Node){
		"nextStep": x.string("nextStep"), "step": x.string("step"), "code": x.string("code"), "flow": x.string("flow"),
		"options": x.list("options"), "actions": x.list("actions"),
		"http": x.number("http"), "attemptsRemaining": x.number("attemptsRemaining"),
		"data": x.members("data"), "claims": x.members("claims"), "grant": x.members("grant"),
		"status": x.status, "session": x.session, "retryAfter": x.retryAfter, "assurance": x.assurance,
		"outbox": x.outbox,
	})
	if ok && len(n.Content) == 0 {
		r.fail(n, "expect: nothing is expected")
	}
	return &Expect{wants: x.wants}
}

func (x *expectation) string(name string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		x.text(name, &s)(n)
		x.add(n, s, name)
	}
}

func (x *expectation) list(path ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s []string
		x.texts(path[len(path)-1], &s)(n)
		out := make([]any, len(s))
		for i := range s {
			out[i] = s[i]
		}
		x.add(n, out, path...)
	}
}

func (x *expectation) number(name string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var i int
		x.whole(name, 0, &i)(n)
		x.add(n, float64(i), name)
	}
}

// members reads what some members must be. Of mappings inside only what is named counts.
func (x *expectation) members(name string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			x.fail(n, "%s: expected a mapping, found %s", name, describe(n))
			return
		}
		for i := 0; i < len(n.Content); i += 2 {
			x.wants = append(x.wants, want{
				path: []string{name, n.Content[i].Value}, value: x.value(n.Content[i+1]), loose: true, pos: x.pos(n.Content[i]),
			})
		}
	}
}

// outbox reads what the last answer must have sent: all of it, in order. Of each
// message only what is named counts.
func (x *expectation) outbox(n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		x.fail(n, "outbox: expected a list of messages, found %s", describe(n))
		return
	}
	for _, item := range n.Content {
		x.fields(item, "outbox", map[string]func(*yaml.Node){
			"channel": x.plain("channel"), "to": x.plain("to"), "template": x.plain("template"), "locale": x.plain("locale"),
		})
	}
	list, _ := x.value(n).([]any)
	if list == nil {
		list = []any{}
	}
	x.wants = append(x.wants, want{path: []string{"outbox"}, value: list, loose: true, pos: x.pos(n)})
}

// plain demands a text.
func (x *expectation) plain(name string) func(*yaml.Node) { return x.text(name, new(string)) }

func (x *expectation) status(n *yaml.Node) {
	var s string
	x.word("status", &s, statuses()...)(n)
	x.add(n, s, "status")
}

func (x *expectation) session(n *yaml.Node) {
	var b bool
	x.flag("session", &b)(n)
	x.add(n, b, "session")
}

func (x *expectation) retryAfter(n *yaml.Node) {
	var d time.Duration
	x.duration("retryAfter", &d)(n)
	x.add(n, float64(seconds(d)), "retryAfter")
}

func (x *expectation) assurance(n *yaml.Node) {
	x.fields(n, "assurance", map[string]func(*yaml.Node){
		"amr": x.list("assurance", "amr"),
		"acr": func(n *yaml.Node) {
			var s string
			x.word("acr", &s, "none", "aal1", "aal2", "aal3")(n)
			if s == "none" {
				x.add(n, nil, "assurance", "acr")
				return
			}
			x.add(n, s, "assurance", "acr")
		},
	})
}
