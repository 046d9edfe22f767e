package flowdefs

import (
	"slices"
	"strings"
)

// The exits that the engine takes by itself.
const (
	exitTimeout = "timeout"
	exitNone    = "none" // of a choose: nothing was lost, and nothing is left
)

// engineExits can leave a step whatever its type declares.
func engineExits() []string {
	return []string{"denied", "exhausted", "insufficient", "locked", exitTimeout, "unavailable"}
}

// stepExits are the exits that a step can be left by.
func (r *flowReader) stepExits(n *Node) []string {
	info, known := r.cat.Describe(n.Type)
	if !known {
		return nil // that is said elsewhere
	}
	exits := slices.DeleteFunc(append(engineExits(), info.Exits...), func(exit string) bool {
		never := slices.Contains(info.Never, exit) && !slices.Contains(info.Exits, exit)
		return never || exit == exitTimeout && n.Timeout == 0
	})
	slices.Sort(exits)
	return slices.Compact(exits)
}

// chooseExits are the exits that a choose can be left by: those of what is
// inside, and none. Nil: any, for it holds a decision.
func (r *flowReader) chooseExits(n *Node) []string {
	inside := n.Options
	if n.Otherwise != nil {
		inside = append(slices.Clone(inside), *n.Otherwise)
	}
	exits, all := r.exitsOf(inside)
	if all {
		return nil
	}
	exits = append(exits, exitNone)
	slices.Sort(exits)
	return slices.Compact(exits)
}

// exitsOf lists the exits that nodes let out. What a step handles itself does
// not get out; but an option that was lost stays lost for its choose.
func (r *flowReader) exitsOf(nodes []Node) (exits []string, all bool) {
	for i := range nodes {
		n := &nodes[i]
		var own []string
		switch n.Kind {
		case Step:
			own = r.stepExits(n)
			all = all || own == nil
		case Choose:
			own = r.chooseExits(n)
			all = all || own == nil
		case Group:
			inner, any := r.exitsOf(n.Steps)
			own, all = inner, all || any
		case Decide:
			all = true
		default: // the others have no exits
		}
		for _, exit := range own {
			if _, handled := n.On[exit]; !handled || exit == "exhausted" || exit == "locked" {
				exits = append(exits, exit)
			}
		}
	}
	return exits, all
}

// on reads where exits lead. A nil list of exits allows any name.
func (r *flowReader) on(n *node, what string, exits []string) map[string]string {
	if n == nil {
		return nil
	}
	if n.kind != mappingKind {
		r.fail(n.pos, "%s: on: expected a mapping of exits to handlers, found %s", what, n.describe())
		return nil
	}
	if len(n.keys) == 0 {
		r.fail(n.pos, "%s: on: names no exit", what)
	}
	out := make(map[string]string, len(n.keys))
	for i, key := range n.keys {
		switch {
		case exits == nil:
			r.wordOf(key, "on")
		case !slices.Contains(exits, key.text):
			r.fail(key.pos, "%s has no exit %s; it has %s", what, quote(key.text), strings.Join(exits, ", "))
		}
		if out[key.text] = r.text(n.items[i], "on"); out[key.text] != "" {
			r.exits = append(r.exits, use{out[key.text], n.items[i].pos})
		}
	}
	return out
}
