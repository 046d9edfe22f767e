package contract_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// item is one node of a random flow.
type item struct {
	kind      string // "step", "choose" or "require"
	id        string
	typ       string // of a step
	condition int    // index into conditions; -1: none
	options   []*item
	otherwise *item
}

// condition is an expression and an independent reading of it.
type condition struct {
	text  string
	holds func(m *reading) (bool, error)
}

var errAbsent = errors.New("there is no such attribute")

func conditions() []condition {
	has := func(typ string) func(*reading) (bool, error) {
		return func(m *reading) (bool, error) { return slices.Contains(m.has, typ), nil }
	}
	return []condition{
		{`acr >= level.aal1`, func(m *reading) (bool, error) { return m.level() >= 1, nil }},
		{`acr >= level.aal2`, func(m *reading) (bool, error) { return m.level() >= 2, nil }},
		{`acr < level.aal2`, func(m *reading) (bool, error) { return m.level() < 2, nil }},
		{`device.bound`, func(m *reading) (bool, error) { return m.bound, nil }},
		{`!device.bound`, func(m *reading) (bool, error) { return !m.bound, nil }},
		{`account.has("totp")`, has("totp")},
		{`account.has("pin")`, has("pin")},
		{`account.has("pin") && device.bound`, func(m *reading) (bool, error) { return m.bound && slices.Contains(m.has, "pin"), nil }},
		{`account.attributes.branch == "Zurich"`, func(*reading) (bool, error) { return true, nil }},
		{`account.attributes.nothing == "x"`, func(*reading) (bool, error) { return false, errAbsent }},
		{`evidence.exists(e, e.type == "totp")`, func(m *reading) (bool, error) {
			return slices.ContainsFunc(m.proofs, func(p proof) bool { return p.typ == "totp" }), nil
		}},
	}
}

// generator makes random flows of the real step types.
type generator struct {
	t *rapid.T
	n int
}

func (g *generator) flow() []*item {
	n := rapid.IntRange(1, 5).Draw(g.t, "items")
	items := make([]*item, 0, n+1)
	if rapid.IntRange(0, 9).Draw(g.t, "proof first") > 0 { // most flows begin with somebody's proof
		items = append(items, g.step([]string{"sso", "password"}, false))
	}
	for range n {
		items = append(items, g.item(2))
	}
	if !slices.ContainsFunc(items, func(i *item) bool { return i.kind != "require" }) {
		items = append(items, g.step(types(), true))
	}
	return items
}

func types() []string {
	return []string{"sso", "password", "pin", "totp", "totp", "device_enrolment", "device_biometric"}
}

func (g *generator) item(depth int) *item {
	switch kind := rapid.IntRange(0, 5).Draw(g.t, "kind"); {
	case kind == 0:
		return &item{kind: "require", condition: g.condition()}
	case kind <= 2:
		return g.choose(depth, true)
	}
	return g.step(types(), true)
}

func (g *generator) step(among []string, conditional bool) *item {
	g.n++
	i := &item{kind: "step", id: fmt.Sprintf("s%d", g.n), typ: rapid.SampledFrom(among).Draw(g.t, "type"), condition: -1}
	if conditional && rapid.Bool().Draw(g.t, "if") {
		i.condition = g.condition()
	}
	return i
}

func (g *generator) condition() int {
	return rapid.IntRange(0, len(conditions())-1).Draw(g.t, "condition")
}

func (g *generator) choose(depth int, conditional bool) *item {
	g.n++
	i := &item{kind: "choose", id: fmt.Sprintf("c%d", g.n), condition: -1}
	if conditional && rapid.Bool().Draw(g.t, "if") {
		i.condition = g.condition()
	}
	for range rapid.IntRange(1, 3).Draw(g.t, "options") {
		if depth > 0 && rapid.IntRange(0, 4).Draw(g.t, "nested") == 0 {
			i.options = append(i.options, g.choose(depth-1, true))
			continue
		}
		i.options = append(i.options, g.step(types(), true))
	}
	if rapid.IntRange(0, 2).Draw(g.t, "otherwise") == 0 {
		i.otherwise = g.step(types(), false)
	}
	return i
}

// yaml writes an item as an author would.
func (i *item) yaml(indent string) string {
	var b strings.Builder
	cond := ""
	if i.condition >= 0 {
		cond = fmt.Sprintf("if: '%s'", conditions()[i.condition].text)
	}
	switch i.kind {
	case "require":
		return fmt.Sprintf("%s- require: '%s'\n", indent, conditions()[i.condition].text)
	case "step":
		b.WriteString(indent + "- " + i.inline())
		b.WriteString("\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%s- id: %s\n", indent, i.id)
	if cond != "" {
		fmt.Fprintf(&b, "%s  %s\n", indent, cond)
	}
	fmt.Fprintf(&b, "%s  choose:\n", indent)
	for _, o := range i.options {
		b.WriteString(o.yaml(indent + "    "))
	}
	if i.otherwise != nil {
		fmt.Fprintf(&b, "%s  otherwise: %s\n", indent, i.otherwise.inline())
	}
	return b.String()
}

func (i *item) inline() string {
	text := fmt.Sprintf("{ id: %s, type: %s", i.id, i.typ)
	if i.typ == "sso" {
		text += ", with: { provider: corporate }"
	}
	if i.condition >= 0 {
		text += fmt.Sprintf(", if: '%s'", conditions()[i.condition].text)
	}
	return text + " }"
}

// definitions is a whole set around the flow: "probe" with its target, and
// "prepare", in which Jane binds her phone.
func definitions(items []*item, requires, ssoCap string) string {
	var b strings.Builder
	b.WriteString("flows:\n  probe:\n    steps:\n")
	for _, i := range items {
		b.WriteString(i.yaml("      "))
	}
	fmt.Fprintf(&b, `  prepare:
    steps:
      - { id: password, type: password }
      - { id: code, type: totp, if: 'account.has("totp")' }
      - { id: bind, type: device_enrolment }
targets:
  app:
    flow: probe
    requires: { %s }
    propagate: { type: bearer_jwt, audience: "https://app.bank.example", claims: { branch: account.attributes.branch } }
providers:
  corporate:
    { issuer: "https://idp.bank.example", client_id: stile, client_secret: { file: secret }, scopes: [openid],
      assurance: { categories: [knowledge], cap: %s } }
clients:
  phone: { flows: [probe, prepare], targets: [app], redirect_uris: ["%s"], dpop: required }
`, requires, ssoCap, redirectURI)
	return b.String()
}

// proof is a step that passed, by what is known of the step types.
type proof struct {
	typ     string
	ceiling int // the level that it can carry
}

func (p proof) knows() bool     { return p.typ == "sso" || p.typ == "password" || p.typ == "pin" }
func (p proof) possesses() bool { return p.typ == "totp" || p.typ == "device_biometric" }

// levelOf reads SP 800-63B-4 section 2 for these step types: one factor is
// aal1; something known beside something held, one of which resists replay,
// is aal2, if both may carry it. All that are held here resist replay.
func levelOf(proofs []proof) int {
	level := 0
	for _, a := range proofs {
		if a.ceiling >= 1 {
			level = max(level, 1)
		}
		for _, b := range proofs {
			if a.ceiling >= 2 && b.ceiling >= 2 && a.knows() && b.possesses() {
				level = 2
			}
		}
	}
	return level
}

// amrOf are the RFC 8176 values, sorted.
func amrOf(proofs []proof) []string {
	out := []string{}
	knows, possesses := false, false
	for _, p := range proofs {
		knows, possesses = knows || p.knows(), possesses || p.possesses()
		switch p.typ {
		case "sso", "password", "pin":
			out = append(out, "pwd")
		case "totp":
			out = append(out, "otp")
		case "device_biometric":
			out = append(out, "pop", "user")
		}
	}
	if knows && possesses {
		out = append(out, "mfa")
	}
	slices.Sort(out)
	return slices.Compact(out)
}
