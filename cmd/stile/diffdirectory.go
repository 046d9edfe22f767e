package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
)

// directory compares two directories. Whatever says who is found there, and whose
// account that is, allows more when it is another one: other people may get in.
func (d *differ) directory(a, b *flowdefs.Directory) {
	for _, x := range []struct{ what, before, after string }{
		{"url", a.URL, b.URL},
		{"base", a.Base, b.Base},
		{"object_class", a.ObjectClass, b.ObjectClass},
		{"id", a.ID, b.ID},
		{"base of groups", a.GroupBase, b.GroupBase},
		{"member", a.Member, b.Member},
	} {
		if x.before != x.after {
			d.note(more, "%s changed from %q to %q", x.what, x.before, x.after)
		}
	}
	d.judge("bind_dn", a.BindDN, b.BindDN)
	d.judge("bind_password", secretPlace(a.BindPassword), secretPlace(b.BindPassword))
	d.list("login", more, a.Logins, b.Logins)
	d.list("attribute", more, pairsOf(a.Attributes), pairsOf(b.Attributes))
	d.list("role", more, pairsOf(a.Roles), pairsOf(b.Roles))
	d.provision(a.Provision, b.Provision)
	d.level("binding", a.Binding, b.Binding)
}

// pairsOf are the entries of a map, one text for each.
func pairsOf(m map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s: %s", name, m[name]))
	}
	return out
}
