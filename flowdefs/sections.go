package flowdefs

import (
	"slices"
	"strings"

	"github.com/stile-auth/stile/flows/assurance"
)

// loader collects what the files of one load declare, and what is wrong with it.
type loader struct {
	cat          Catalogue
	cel          *compiler
	set          *Set
	problems     Problems
	subs         map[string]*subflow
	spent        int              // on subflows; see maxExpansion
	compositions map[string]*Flow // by the flows that they are made of
	composing    int              // bytes; see maxComposed
	authorizing  []authorizing
	handing      []handing
	redeeming    []redeeming
	coded        []coded
	enrolling    []authorizing
	texts        map[string]map[string]text // by locale and id
	shown        []usedMessage
	canonical    bool // reads canonical text: what was used is already in place
	broken       bool // a file could not be read at all: what it declares is not known
	refs         []reference
	declared     map[string]map[string]bool // section and name, whether or not the rest was right
	places       map[string]Pos             // "section name" to where it is declared
}

// reference is a name that must be declared in a section.
type reference struct {
	section, name string
	pos           Pos
}

func newLoader(cat Catalogue) (*loader, error) {
	c, err := newCompiler()
	if err != nil {
		return nil, err
	}
	return &loader{
		cat: cat, cel: c,
		set: &Set{
			Flows: map[string]*Flow{}, Targets: map[string]*Target{},
			Providers: map[string]*Provider{}, Directories: map[string]*Directory{}, Clients: map[string]*Client{}, ClientSources: map[string]*ClientSource{},
			Levels: assurance.BuiltIn(),
		},
		declared:     map[string]map[string]bool{},
		places:       map[string]Pos{},
		subs:         map[string]*subflow{},
		compositions: map[string]*Flow{},
		texts:        map[string]map[string]text{},
	}, nil
}

// sections is what a file may hold, in the order in which it is read.
func sections() []string {
	return []string{"levels", "subflows", "flows", "targets", "providers", "directories", "clients", "client_sources", "messages"}
}

// file reads some sections of one file. They are read in a fixed order, not in the file's.
func (l *loader) file(root *node, which ...string) {
	o := object{l, root, "the file"}
	read := map[string]func(key, n *node){
		"levels": l.scale, "subflows": l.subflow, "flows": l.flow, "targets": l.target, "providers": l.provider, "directories": l.directory, "clients": l.client,
		"client_sources": l.clientSource, "messages": l.messages,
	}
	for _, section := range which {
		n := o.n.get(section)
		if n == nil {
			continue
		}
		if n.kind != mappingKind {
			l.fail(n.pos, "%s: expected a mapping of names, found %s", section, n.describe())
			continue
		}
		for i, key := range n.keys {
			if section != "messages" { // which any number of files may have in one locale
				l.declare(section, key)
			}
			read[section](key, n.items[i])
		}
	}
}

// singular is what one thing of a section is called.
func singular(section string) string {
	if stem, ok := strings.CutSuffix(section, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(section, "s")
}

// plural is the section in which such things are.
func plural(word string) string {
	if stem, ok := strings.CutSuffix(word, "y"); ok {
		return stem + "ies"
	}
	return word + "s"
}

// declare notes a definition's name and reports the second of that name, at both places.
func (l *loader) declare(section string, key *node) {
	word := singular(section)
	if section == "levels" {
		word = "scale"
	}
	l.checkName(key, strings.ReplaceAll(word, "_", " "))
	id := section + " " + key.text
	if first, dup := l.places[id]; dup {
		l.fail(key.pos, "%s %s is defined twice; the other is at %s", word, quote(key.text), first)
		l.fail(first, "%s %s is defined twice; the other is at %s", word, quote(key.text), key.pos)
		return
	}
	l.places[id] = key.pos
	if l.declared[section] == nil {
		l.declared[section] = map[string]bool{}
	}
	l.declared[section][key.text] = true
}

func (l *loader) refer(section, name string, pos Pos) {
	l.refs = append(l.refs, reference{section, name, pos})
}

// referAll notes a list of names.
func (l *loader) referAll(o object, section string) []string {
	names, nodes := o.texts(section)
	for i, name := range names {
		l.refer(section, name, nodes[i].pos)
	}
	return names
}

// checkReferences reports the names that nothing declares. If a file could not
// be read nobody knows what it declares, and dangling names are not reported.
func (l *loader) checkReferences() {
	if l.broken {
		return
	}
	for _, r := range l.refs {
		known := l.declared[r.section]
		if known[r.name] {
			continue
		}
		var names []string
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		hint := didYouMean(r.name, names)
		if len(names) == 0 {
			hint = "; there are none"
		}
		l.fail(r.pos, "no %s %s is defined%s", singular(r.section), quote(r.name), hint)
	}
}
