package flowdefs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Where clients stand that the definitions do not have.
const (
	FromStore     = "store"
	FromDirectory = "directory"
)

// ClientSource is where clients stand besides the definitions, and the most that
// each of them may have: whoever writes there can give a client less, and never more.
type ClientSource struct {
	Name string
	From string // FromStore or FromDirectory; one source of each

	Flows, Targets, Grants, Scopes []string      // no client has others
	Auth                           []string      // nor another way to prove who it is
	Refresh                        time.Duration // nor refresh tokens that are good for longer
	DPoPRequired                   bool          // whatever the client says
	Requires                       Requirement   // of the runs of each client, likewise
	TTL                            time.Duration // nor access tokens that are good for longer; 0: no limit of its own

	Entries *Entries // of FromDirectory
	Pos     Pos
}

// Entries are the clients of an LDAP directory: entries that prove who they are with their password.
type Entries struct {
	Directory   string // name in the definitions
	Base        string // DN below which they are
	ObjectClass string
	ID          string            // attribute: the client's id, exactly
	Filter      string            // that they fit besides; "": any
	Scope       string            // attribute with the scopes of a client; "": none says so
	GroupBase   string            // DN below which groups are; "": none
	Member      string            // attribute of a group with the DNs of its members
	Scopes      map[string]string // by cn of a group: the scope that its members have
}

// ClientsFrom is the source of that kind, nil if there is none.
func (s *Set) ClientsFrom(kind string) *ClientSource {
	for _, c := range s.ClientSources {
		if c.From == kind {
			return c
		}
	}
	return nil
}

func (l *loader) clientSource(key, n *node) {
	what := "client source " + quote(key.text)
	o, ok := l.object(n, what, []string{
		"from", "flows", "targets", "grants", "auth", "scopes", "refresh", "dpop", "requires", "ttl", "directory", "base", "object_class", "id", "filter", "scope_attribute", "groups",
	})
	if !ok {
		return
	}
	s := &ClientSource{Name: key.text, Pos: key.pos, Refresh: o.duration("refresh", LongestRefresh), TTL: o.duration("ttl", maxTTL)}
	if s.Refresh == 0 {
		s.Refresh = defaultRefresh
	}
	o.required("from")
	s.From = o.word("from", FromStore, FromDirectory)
	s.Flows, s.Targets = l.referAll(o, "flows"), l.referAll(o, "targets")
	s.Grants, s.Scopes = l.grants(o, what), l.allowed(o)
	s.DPoPRequired = o.word("dpop", "required", "optional") != "optional"
	if requires := n.get("requires"); requires != nil {
		s.Requires = l.requirement(requires, what+": requires")
	}
	l.ways(o, s, what)
	for _, other := range l.set.ClientSources {
		if other.From == s.From && s.From != "" {
			l.fail(key.pos, "%s: %q is where the clients of %q stand already", what, s.From, other.Name)
		}
	}
	if s.From == FromDirectory {
		l.entries(o, s, what)
	} else {
		for _, key := range []string{"directory", "base", "object_class", "id", "filter", "scope_attribute", "groups"} {
			if at := n.get(key); at != nil {
				l.fail(at.pos, "%s: %s is of those from a directory", what, key)
			}
		}
	}
	l.set.ClientSources[key.text] = s
}

// ways reads how clients of a source may prove who they are.
func (l *loader) ways(o object, s *ClientSource, what string) {
	texts, nodes := o.texts("auth")
	known := []string{AuthNone, AuthBasic, AuthPost, AuthPrivateKey}
	if s.From == FromDirectory {
		known = []string{AuthBasic, AuthPost}
	}
	for i, way := range texts {
		if !slices.Contains(known, way) {
			l.fail(nodes[i].pos, "%s: auth: expected %s, found %s", what, oneOf(known), quote(way))
		}
	}
	if len(texts) == 0 {
		texts = []string{AuthBasic}
	}
	s.Auth = texts
}

func (l *loader) entries(o object, s *ClientSource, what string) {
	e := &Entries{
		Directory: o.requiredText("directory"), Base: o.requiredText("base"), ObjectClass: "inetOrgPerson", ID: "uid", Filter: o.text("filter"),
	}
	if at := o.n.get("directory"); at != nil && at.kind == stringKind {
		l.refer("directories", e.Directory, at.pos)
	}
	if at := o.n.get("filter"); at != nil && !balanced(e.Filter) {
		l.fail(at.pos, "%s: filter: expected one filter in brackets, such as (ou=services)", what)
	}
	l.attribute(o, "object_class", &e.ObjectClass)
	l.attribute(o, "id", &e.ID)
	l.attribute(o, "scope_attribute", &e.Scope)
	if g := o.n.get("groups"); g != nil {
		l.scopeGroups(e, g, what+": groups")
	}
	if at := o.n.get("grants"); at == nil || !slices.Equal(s.Grants, []string{GrantClient}) {
		l.fail(o.n.pos, "%s: clients of a directory act for themselves: grants is [%s]", what, GrantClient)
	}
	if len(s.Flows) > 0 {
		l.fail(o.n.get("flows").pos, "%s: clients of a directory run no flows", what)
	}
	if len(s.Targets) == 0 {
		l.fail(o.n.pos, "%s: its clients need targets: their tokens are for them", what)
	}
	s.Entries = e
}

func (l *loader) scopeGroups(e *Entries, n *node, what string) {
	o, ok := l.object(n, what, []string{"base", "member", "scopes"})
	if !ok {
		return
	}
	e.GroupBase, e.Member = o.requiredText("base"), "member"
	l.attribute(o, "member", &e.Member)
	if o.required("scopes") != nil {
		e.Scopes = l.table(o, "scopes", scopeForm, "is no scope")
	}
}

// balanced says whether text is one thing in brackets. The directory's driver reads the rest.
func balanced(text string) bool {
	depth := 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 || depth == 0 && i < len(text)-1 {
			return false
		}
	}
	return text != "" && depth == 0 && text[len(text)-1] == ')'
}

// Bound returns the client as it may be when it stands in this source, and how many
// things of its it may not have; an error if it may not be at all.
func (s *ClientSource) Bound(c *Client) (bounded *Client, dropped int, err error) {
	out := *c
	keep := func(has, most []string) []string {
		kept := slices.DeleteFunc(slices.Clone(has), func(one string) bool { return !slices.Contains(most, one) })
		dropped += len(has) - len(kept)
		return kept
	}
	out.Flows, out.Targets = keep(c.Flows, s.Flows), keep(c.Targets, s.Targets)
	out.DPoPRequired, out.Least = c.DPoPRequired || s.DPoPRequired, s.Requires
	if s.TTL > 0 && (c.TTL == 0 || s.TTL < c.TTL) {
		out.TTL = s.TTL
	}
	if c.OAuth == nil {
		return &out, dropped, nil
	}
	if !slices.Contains(s.Auth, c.OAuth.Auth) {
		return nil, 0, fmt.Errorf("flowdefs: client %q: %s allows auth %s alone", c.ID, s.Name, strings.Join(s.Auth, ", "))
	}
	o := *c.OAuth
	o.Grants, o.Scopes, o.Refresh = keep(o.Grants, s.Grants), keep(o.Scopes, s.Scopes), min(o.Refresh, s.Refresh)
	out.OAuth = &o
	return &out, dropped, nil
}

var errNoSource = errors.New("flowdefs: the definitions let no client stand in the store: they have no client_sources with from: store")

// StoredClient reads a client of the store, in the words of the section clients, as the
// definitions let it be. All mistakes of its text come back together as [Problems], whose file is its id.
func (s *Set) StoredClient(id string, text []byte) (c *Client, dropped int, err error) {
	source := s.ClientsFrom(FromStore)
	if source == nil {
		return nil, 0, errNoSource
	}
	l := &loader{set: s, declared: map[string]map[string]bool{"flows": namesOf(s.Flows), "targets": namesOf(s.Targets), "providers": namesOf(s.Providers)}}
	root, problems := parseYAML(id, text, maxSource)
	if l.problems = problems; root != nil && len(problems) == 0 {
		key := &node{kind: stringKind, text: id, pos: Pos{id, 1, 1}}
		l.checkName(key, "client")
		c = l.readClient(key, root)
		l.checkReferences()
		l.checkRedeeming()
		if c != nil {
			l.checkCookiesOf(c)
		}
	}
	if len(l.problems) > 0 {
		return nil, 0, l.problems.sorted()
	}
	if c == nil {
		return nil, 0, Problems{{Pos{id, 1, 1}, "expected a client"}}
	}
	return source.Bound(c)
}

func namesOf[T any](m map[string]T) map[string]bool {
	out := map[string]bool{}
	for name := range m {
		out[name] = true
	}
	return out
}

func clientSource7() object7 {
	attribute := formed(attributeForm.String())
	s := closed(object7{
		"from":     documented(words7(FromStore, FromDirectory), "Where its clients stand."),
		"flows":    documented(set7(text7()), "The flows that they may run; none if absent."),
		"targets":  documented(set7(text7()), "The targets that they may have tokens for; none if absent."),
		"grants":   documented(set7(words7(GrantCode, GrantRefresh, GrantClient)), "The grants that they may have; authorization_code if absent."),
		"auth":     documented(set7(words7(AuthNone, AuthBasic, AuthPost, AuthPrivateKey)), "How they may prove who they are; client_secret_basic if absent."),
		"scopes":   documented(set7(formed(scopeForm.String())), "The scopes that they may have; none if absent."),
		"refresh":  documented(length(), "How long their refresh tokens are good at most; 720h if absent."),
		"dpop":     documented(words7("required", "optional"), "Whether their tokens are bound to a key, whatever they say; required if absent."),
		"requires": documented(requirement7(), "What their runs have to reach at least."),
		"ttl":      documented(length(), "How long their access tokens are good at most."),

		"directory":       documented(text7(), "The directory in which they are."),
		"base":            documented(filled(), "DN below which they are."),
		"object_class":    documented(attribute, "Of their entries; default inetOrgPerson."),
		"id":              documented(attribute, "Attribute that is their id; default uid."),
		"filter":          documented(formed(`^\(.*\)$`), "A filter that their entries fit besides."),
		"scope_attribute": documented(attribute, "Attribute with their scopes."),
		"groups": closed(object7{
			"base":   documented(filled(), "DN below which groups are."),
			"member": documented(attribute, "Attribute of a group with the DNs of its members; default member."),
			"scopes": documented(table7(formed(scopeForm.String())), "Scopes that members of groups have, by cn of the group."),
		}, "base", "scopes"),
	}, "from")
	s["if"] = object7{"properties": object7{"from": object7{"const": FromDirectory}}}
	s["then"] = object7{"required": []string{"directory", "base", "grants", "targets"}, "properties": object7{
		"grants": object7{"const": []string{GrantClient}}, "targets": object7{"minItems": 1}, "flows": object7{"maxItems": 0},
		"auth": object7{"items": object7{"enum": []string{AuthBasic, AuthPost}}},
	}}
	none := object7{}
	for _, key := range []string{"directory", "base", "object_class", "id", "filter", "scope_attribute", "groups"} {
		none[key] = false
	}
	s["else"] = object7{"properties": none}
	return s
}
