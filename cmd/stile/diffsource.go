package main

import "github.com/stile-auth/stile/flowdefs"

// clientSource compares what the clients that stand elsewhere may have at most. Whatever
// says which entries are clients allows more when it is another one.
func (d *differ) clientSource(a, b *flowdefs.ClientSource) {
	d.list("flow", more, a.Flows, b.Flows)
	d.list("target", more, a.Targets, b.Targets)
	d.list("grant", more, a.Grants, b.Grants)
	d.list("scope", more, a.Scopes, b.Scopes)
	d.list("auth", more, a.Auth, b.Auth)
	d.amount("refresh, in seconds,", more, int(a.Refresh.Seconds()), int(b.Refresh.Seconds()))
	switch {
	case a.DPoPRequired && !b.DPoPRequired:
		d.note(more, "dpop is optional: it was required")
	case !a.DPoPRequired && b.DPoPRequired:
		d.note(less, "dpop is required: it was optional")
	}
	d.requirement(a.Requires, b.Requires)
	d.limit("ttl", a.TTL, b.TTL)
	x, y := entriesOf(a), entriesOf(b)
	for _, one := range []struct{ what, before, after string }{
		{"from", a.From, b.From},
		{"directory", x.Directory, y.Directory},
		{"base", x.Base, y.Base},
		{"object_class", x.ObjectClass, y.ObjectClass},
		{"id", x.ID, y.ID},
		{"filter", x.Filter, y.Filter},
		{"scope_attribute", x.Scope, y.Scope},
		{"base of groups", x.GroupBase, y.GroupBase},
		{"member", x.Member, y.Member},
	} {
		if one.before != one.after {
			d.note(more, "%s changed from %q to %q", one.what, one.before, one.after)
		}
	}
	d.list("scope of a group", more, pairsOf(x.Scopes), pairsOf(y.Scopes))
}

func entriesOf(s *flowdefs.ClientSource) flowdefs.Entries {
	if s.Entries == nil {
		return flowdefs.Entries{}
	}
	return *s.Entries
}
