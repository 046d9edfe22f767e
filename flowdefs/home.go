package flowdefs

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// checkHomes reports chooses in which two providers have the same domain: which of
// them is somebody's home is for the definition to say, not for the order of its lines.
func (l *loader) checkHomes() {
	for _, name := range slices.Sorted(maps.Keys(l.set.Flows)) {
		eachNode(l.set.Flows[name], func(n *Node) {
			if n.Kind == Choose {
				l.homes(n)
			}
		})
	}
}

func (l *loader) homes(choose *Node) {
	owner := map[string]*Provider{}
	for i := range choose.Options {
		p := l.homeOf(&choose.Options[i])
		if p == nil {
			continue
		}
		for _, domain := range p.Domains {
			if other := owner[domain]; other != nil && other != p {
				l.fail(choose.Options[i].Pos, "choose %s: the providers %s and %s both have the domain %s: a name of it has one home",
					quote(choose.ID), quote(other.Name), quote(p.Name), quote(domain))
			} else {
				owner[domain] = p
			}
		}
	}
}

// homeOf is the provider where an option begins with a sign-on; nil if it begins with something else.
func (l *loader) homeOf(n *Node) *Provider {
	for n.Kind == Group && len(n.Steps) > 0 {
		n = &n.Steps[0]
	}
	info, known := l.cat.Describe(n.Type)
	if n.Kind != Step || !known || info.Provider == nil || n.With == nil {
		return nil
	}
	return l.set.Providers[info.Provider(n.With)]
}

// DomainOf is the domain of a name that looks like an address, in its one spelling
// (RFC 5891 §4); "" if there is none. It depends on what was typed and on nothing else:
// whether somebody has the name is not known here.
func DomainOf(name string) string {
	at := strings.LastIndexByte(name, '@')
	if at < 1 {
		return ""
	}
	domain, err := idna.Lookup.ToASCII(strings.TrimSpace(name[at+1:]))
	if err != nil {
		return ""
	}
	return domain
}
