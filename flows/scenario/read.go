package scenario

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/flowdefs"
)

// Suffix ends the names of scenario files.
const Suffix = ".test.yaml"

// Load reads every scenario file of dir in fsys and checks it against the
// definitions: flows, targets, clients, providers, steps and options must be
// there. All mistakes come back together as [flowdefs.Problems]. No scenarios
// are no mistake. Scenarios come in the order of files and places.
func Load(fsys fs.FS, dir string, set *flowdefs.Set) ([]*Scenario, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	l := &loader{set: set, byName: map[string]*Scenario{}}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), Suffix) {
			continue
		}
		data, err := read(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("scenario: %w", err)
		}
		l.file(e.Name(), data)
	}
	l.link()
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, byPlace)
		return nil, l.problems
	}
	return l.all, nil
}

func read(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

func byPlace(a, b flowdefs.Problem) int {
	if c := strings.Compare(a.Pos.File, b.Pos.File); c != 0 {
		return c
	}
	if a.Pos.Line != b.Pos.Line {
		return a.Pos.Line - b.Pos.Line
	}
	return a.Pos.Column - b.Pos.Column
}

type loader struct {
	set      *flowdefs.Set
	all      []*Scenario
	byName   map[string]*Scenario
	problems flowdefs.Problems
}

func (l *loader) file(name string, data []byte) {
	r := &reader{file: name, set: l.set}
	for _, root := range r.documents(data) {
		s := r.scenario(root)
		if first, dup := l.byName[s.Name]; dup && s.Name != "" {
			r.problems = append(r.problems, flowdefs.Problem{Pos: s.Pos, Message: fmt.Sprintf("scenario %q stands twice; the first is at %s", s.Name, first.Pos)})
		}
		l.byName[s.Name] = s
		l.all = append(l.all, s)
	}
	l.problems = append(l.problems, r.problems...)
}

// link finds the scenarios that others begin with.
func (l *loader) link() {
	for _, s := range l.all {
		if s.after == "" {
			continue
		}
		before, ok := l.byName[s.after]
		if !ok {
			l.problems = append(l.problems, flowdefs.Problem{Pos: s.Pos, Message: fmt.Sprintf(
				"given: session: there is no scenario %q%s", s.after, nearest(s.after, keysOf(l.byName)))})
			continue
		}
		s.After = before
	}
	for _, s := range l.all {
		seen := map[*Scenario]bool{}
		for at := s; at != nil; at = at.After {
			if seen[at] {
				l.problems = append(l.problems, flowdefs.Problem{Pos: s.Pos, Message: "given: session: the scenarios begin with one another in a circle"})
				return
			}
			seen[at] = true
		}
	}
}

// scenario reads one document.
func (r *reader) scenario(n *yaml.Node) *Scenario {
	s := &Scenario{
		Start: Start{Pos: r.pos(n)}, Pos: r.pos(n),
		Given: Given{Account: "jane", Level: "aal2", Device: DeviceKey, At: begin()},
	}
	var steps *yaml.Node
	fields := r.startFields(&s.Start)
	fields["scenario"] = r.text("scenario", &s.Name)
	fields["given"] = func(n *yaml.Node) { r.given(n, s) }
	fields["hurry"] = r.flag("hurry", &s.Hurry)
	fields["steps"] = func(n *yaml.Node) { steps = n }
	if !r.fields(n, "scenario", fields) {
		return s
	}
	if member(n, "scenario") == n {
		r.fail(n, "scenario: it has no name: scenario: WHAT IT SAYS")
	}
	first := r.startable(n, &s.Start)
	r.moves(n, steps, s, first)
	return s
}

// startFields reads what a run is started with.
func (r *reader) startFields(s *Start) map[string]func(*yaml.Node) {
	return map[string]func(*yaml.Node){
		"flow": r.text("flow", &s.Flow), "target": r.text("target", &s.Target), "client": r.text("client", &s.Client),
		"acrValues": r.texts("acrValues", &s.ACRValues), "loginHint": r.text("loginHint", &s.LoginHint),
		"provider": r.text("provider", &s.Provider),
		"locale":   r.text("locale", &s.Locale), "capabilities": r.texts("capabilities", &s.Capabilities),
		"activate":    r.texts("activate", &s.Activate),
		"transaction": func(n *yaml.Node) { s.Transaction = r.pairs(n, "transaction") },
		"maxAge":      func(n *yaml.Node) { s.MaxAge = new(time.Duration); r.duration("maxAge", s.MaxAge)(n) },
	}
}

// startable checks a start, finds the client that nobody named, and returns the flow.
func (r *reader) startable(n *yaml.Node, s *Start) *flowdefs.Flow {
	if (s.Flow == "") == (s.Target == "") {
		r.fail(n, "expected flow or target, and one of them only")
		return nil
	}
	f := r.set.Flows[s.Flow]
	if s.Target != "" {
		t, ok := r.set.Targets[s.Target]
		if !ok {
			r.fail(member(n, "target"), "no target %q is defined%s", s.Target, nearest(s.Target, keysOf(r.set.Targets)))
			return nil
		}
		if f = t.Composed; f == nil {
			f = r.set.Flows[t.Flow]
		}
	}
	if f == nil {
		r.fail(member(n, "flow"), "no flow %q is defined%s", s.Flow, nearest(s.Flow, keysOf(r.set.Flows)))
		return nil
	}
	r.client(n, s)
	return f
}

// member is the value of a key of a mapping, else n itself.
func member(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Kind == yaml.MappingNode && n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return n
}

func (r *reader) client(n *yaml.Node, s *Start) {
	if s.Client != "" {
		if _, ok := r.set.Clients[s.Client]; !ok {
			r.fail(member(n, "client"), "no client %q is defined%s", s.Client, nearest(s.Client, keysOf(r.set.Clients)))
		}
		return
	}
	for _, id := range keysOf(r.set.Clients) {
		c := r.set.Clients[id]
		if s.Target != "" && slices.Contains(c.Targets, s.Target) || s.Target == "" && slices.Contains(c.Flows, s.Flow) {
			s.Client = id
			return
		}
	}
	r.fail(n, "no client may start that")
}

func (r *reader) given(n *yaml.Node, s *Scenario) {
	g := &s.Given
	status := "active"
	r.fields(n, "given", map[string]func(*yaml.Node){
		"account": r.text("account", &g.Account), "has": r.texts("has", &g.Has),
		"level":      r.word("level", &g.Level, "aal1", "aal2", "aal3"),
		"status":     r.word("status", &status, "active", "must_change", "disabled"),
		"device":     r.word("device", &g.Device, DeviceKey, DeviceBound, DeviceNone, DeviceAndroid, DeviceIOS),
		"attributes": func(n *yaml.Node) { g.Attributes = r.pairs(n, "attributes") },
		"provider":   func(n *yaml.Node) { r.signsIn(n, g) },
		"calls":      func(n *yaml.Node) { g.Calls = r.pairs(n, "calls") },
		"at":         func(n *yaml.Node) { r.clock(n, g) },
		"session":    r.text("session", &s.after),
	})
	g.Disabled, g.MustChange = status == "disabled", status == "must_change"
	if s.after != "" && len(n.Content) > 2 {
		r.fail(n, "given: session: the scenario that is played before says what is given; nothing stands beside it")
	}
}

// begin is when a scenario begins that does not say it: a Monday morning.
func begin() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }

// clock reads a time of day, or an instant.
func (r *reader) clock(n *yaml.Node, g *Given) {
	var text string
	r.text("at", &text)(n)
	if of, err := time.Parse("15:04", text); err == nil {
		g.At = begin().Truncate(24 * time.Hour).Add(time.Duration(of.Hour())*time.Hour + time.Duration(of.Minute())*time.Minute)
		return
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		r.fail(n, `at: expected a time of day such as "22:30" or an instant such as "2026-03-02T22:30:00Z", found %s`, describe(n))
		return
	}
	g.At = at.UTC()
}

func (r *reader) pairs(n *yaml.Node, what string) map[string]string {
	out := map[string]string{}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s: expected a mapping, found %s", what, describe(n))
		return out
	}
	for i := 0; i < len(n.Content); i += 2 {
		var v string
		r.text(what+": "+n.Content[i].Value, &v)(n.Content[i+1])
		out[n.Content[i].Value] = v
	}
	return out
}

const signsInAs = "signs-in-as "

// signsIn reads who signs in at the providers.
func (r *reader) signsIn(n *yaml.Node, g *Given) {
	g.Providers = r.pairs(n, "provider")
	for _, name := range keysOf(g.Providers) {
		who, ok := strings.CutPrefix(g.Providers[name], signsInAs)
		if !ok || strings.TrimSpace(who) != who || who == "" {
			r.fail(n, "provider: %s: expected %sNAME, found %q", name, signsInAs, g.Providers[name])
		}
		if _, ok := r.set.Providers[name]; !ok {
			r.fail(n, "no provider %q is defined%s", name, nearest(name, keysOf(r.set.Providers)))
		}
		g.Providers[name] = who
	}
}
