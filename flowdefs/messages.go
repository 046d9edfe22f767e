package flowdefs

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/language"
)

// builtin are the texts of what the engine and the built-in steps say.
//
//go:embed texts/*.yaml
var builtin embed.FS

// fallback is the locale of last resort: every built-in id has a text in it.
const fallback = "en"

const (
	maxMessage = 2000 // characters of one text
	maxLocales = 64
)

var (
	messageForm  = shortForm(`^[a-z][a-z0-9._-]{0,95}$`)  //nolint:gochecknoglobals // as constant as a regular expression
	argumentForm = shortForm(`^[a-z][a-zA-Z0-9_]{0,63}$`) //nolint:gochecknoglobals // as constant as a regular expression
)

// IsArgument says whether a text can have an argument of that name.
func IsArgument(name string) bool { return argumentForm.MatchString(name) }

// FailureMessage is the id of the text for a code that runs fail with, and for the
// code of any other problem.
func FailureMessage(code string) string { return "problem." + code }

// PromptMessage is the id of the text for the code of a prompt.
func PromptMessage(code string) string { return "prompt." + strings.ToLower(code) }

// Messages are the texts of a set of definitions, with the built-in ones behind
// them. Clients are told ids and arguments; who renders pages looks the texts up
// here. They are no part of what a run is pinned to. Immutable; nil has nothing.
type Messages struct {
	own, builtin map[string]map[string]text // by locale and id
	locales      []string                   // the first one is the default
	matcher      language.Matcher
}

// text is one text, cut at its arguments.
type text struct {
	pos   Pos
	parts []part
}

type part struct {
	words    string
	argument string // "": words
}

// Locales returns the locales that there are texts for, the default first.
func (m *Messages) Locales() []string {
	if m == nil {
		return nil
	}
	return slices.Clone(m.locales)
}

// Match returns the best of the locales for what somebody prefers: each preference is a
// language tag or a list of them in the form of Accept-Language (RFC 4647, RFC 9110 §12.5.4),
// the more important first. What is no such thing is passed over; the default is always good.
func (m *Messages) Match(preferred ...string) string {
	if m == nil {
		return fallback
	}
	for _, p := range preferred {
		tags, _, err := language.ParseAcceptLanguage(p)
		if err != nil || len(tags) == 0 {
			continue
		}
		if _, i, sure := m.matcher.Match(tags...); sure > language.No {
			return m.locales[i]
		}
	}
	return m.locales[0]
}

// Text returns the text of an id in a locale that Match has returned, with the arguments in
// their places. What a locale lacks its parents have, then the default, then the
// built-in texts; false if nobody has it.
func (m *Messages) Text(locale, id string, arguments map[string]string) (string, bool) {
	t, ok := m.find(locale, id)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.argument != "" {
			b.WriteString(arguments[p.argument])
		}
		b.WriteString(p.words)
	}
	return b.String(), true
}

func (m *Messages) find(locale, id string) (text, bool) {
	if m == nil {
		return text{}, false
	}
	for _, from := range [][]string{lineage(locale), {m.locales[0]}, {fallback}} {
		for _, l := range from {
			for _, c := range []map[string]map[string]text{m.own, m.builtin} {
				if t, ok := c[l][id]; ok {
					return t, true
				}
			}
		}
	}
	return text{}, false
}

// lineage is a locale and what is left of it as its last parts are taken away (RFC 4647 §3.4).
func lineage(locale string) []string {
	var out []string
	for locale != "" {
		out = append(out, locale)
		i := strings.LastIndexByte(locale, '-')
		locale = locale[:max(i, 0)]
	}
	return out
}

// usedMessage is a message that a flow shows, with the names of the arguments that it gives.
type usedMessage struct {
	id        string
	arguments []string
	pos       Pos
	whole     bool // the server shows it: there must be a text, and no argument may be missing in it
}

// messages reads the texts of one locale.
func (l *loader) messages(locale, n *node) {
	what := "messages " + quote(locale.text)
	if tag, err := language.Parse(locale.text); err != nil || tag.String() != locale.text {
		hint := ""
		if err == nil {
			hint = fmt.Sprintf("; did you mean %q?", tag)
		}
		l.fail(locale.pos, "%s: expected a language tag such as en or de-CH%s", what, hint)
		return
	}
	if n.kind != mappingKind {
		l.fail(n.pos, "%s: expected a mapping of ids to texts, found %s", what, n.describe())
		return
	}
	for i, key := range n.keys {
		if !messageForm.MatchString(key.text) {
			l.fail(key.pos, "message %s: an id is made of a-z, 0-9, \".\", \"_\" and \"-\", begins with a letter and has at most 96 characters", quote(key.text))
			continue
		}
		l.message(locale.text, key, n.items[i])
	}
}

func (l *loader) message(locale string, key, n *node) {
	if first, dup := l.texts[locale][key.text]; dup {
		l.fail(key.pos, "message %s is defined twice in %s; the other is at %s", quote(key.text), locale, first.pos)
		l.fail(first.pos, "message %s is defined twice in %s; the other is at %s", quote(key.text), locale, key.pos)
		return
	}
	words := l.text(n, key.text)
	if n.kind != stringKind {
		return
	}
	parts, wrong := cut(words)
	if wrong != "" {
		l.fail(n.pos, "message %s: %s", quote(key.text), wrong)
		return
	}
	if l.texts[locale] == nil {
		l.texts[locale] = map[string]text{}
	}
	l.texts[locale][key.text] = text{key.pos, parts}
}

// cut finds the arguments of a text; wrong says what is wrong with it.
func cut(words string) (parts []part, wrong string) {
	switch {
	case strings.TrimSpace(words) == "":
		return nil, "must not be empty"
	case len([]rune(words)) > maxMessage:
		return nil, fmt.Sprintf("longer than the %d characters that are allowed", maxMessage)
	case strings.ContainsFunc(words, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || unicode.In(r, unicode.Zl, unicode.Zp) }):
		return nil, "has a control character"
	}
	const want = "in a text { and } stand only around the name of an argument, such as {name}"
	for i, piece := range strings.Split(words, "{") {
		name, rest, closed := strings.Cut(piece, "}")
		switch {
		case i == 0 && closed, i > 0 && (!closed || !argumentForm.MatchString(name) || strings.Contains(rest, "}")):
			return nil, want
		case i == 0:
			parts = append(parts, part{words: piece})
		default:
			parts = append(parts, part{argument: name, words: rest})
		}
	}
	return parts, ""
}

func (t text) arguments() []string {
	var out []string
	for _, p := range t.parts {
		if p.argument != "" {
			out = append(out, p.argument)
		}
	}
	return out
}

// builtinTexts reads the built-in catalogues with the rules for everybody's.
func builtinTexts() (map[string]map[string]text, error) {
	entries, err := builtin.ReadDir("texts")
	if err != nil {
		return nil, err
	}
	l := &loader{texts: map[string]map[string]text{}}
	for _, e := range entries {
		data, err := builtin.ReadFile("texts/" + e.Name())
		if err != nil {
			return nil, err
		}
		root, problems := parseYAML("texts/"+e.Name(), data, maxFile)
		l.problems = append(l.problems, problems...)
		if root != nil {
			l.file(root, "messages")
		}
	}
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return l.texts, nil
}

// checkMessages holds the texts against what flows show, and makes the set's [Messages].
func (l *loader) checkMessages() error {
	own, err := builtinTexts()
	if err != nil {
		return fmt.Errorf("flowdefs: built-in texts: %w", err)
	}
	m := &Messages{own: l.texts, builtin: own}
	m.locales = l.localesOf(m)
	tags := make([]language.Tag, len(m.locales))
	for i, locale := range m.locales {
		tags[i] = language.Make(locale)
	}
	m.matcher = language.NewMatcher(tags)
	l.set.Messages = m
	if l.broken {
		return nil
	}
	l.checkShown(m)
	if len(l.texts) == 0 {
		return nil
	}
	l.checkTexts(m)
	return nil
}

// localesOf are all locales, the default first: English or, if there are own texts
// and none of them is English, the only locale that they have.
func (l *loader) localesOf(m *Messages) []string {
	own := slices.Sorted(maps.Keys(m.own))
	standard := fallback
	switch {
	case len(own) > maxLocales:
		l.fail(l.firstText(own[0]), "messages: %d locales; at most %d are allowed", len(own), maxLocales)
	case len(own) == 0 || m.own[fallback] != nil:
	case len(own) == 1:
		standard = own[0]
	default:
		l.fail(l.firstText(own[0]), "messages: texts in %s and none in %s: which of them is for everybody else is not known; give texts in %s",
			strings.Join(own, ", "), fallback, fallback)
	}
	all := append(slices.Collect(maps.Keys(m.builtin)), own...)
	slices.Sort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(locale string) bool { return locale == standard })
	return append([]string{standard}, all...)
}

// firstText is the place of the first text of a locale.
func (l *loader) firstText(locale string) Pos {
	var first Pos
	for _, t := range l.texts[locale] {
		if first.Line == 0 || t.pos.File < first.File || t.pos.File == first.File && t.pos.Line < first.Line {
			first = t.pos
		}
	}
	return first
}

// checkShown reports the messages that flows show and the default locale has no text for.
func (l *loader) checkShown(m *Messages) {
	standard := m.locales[0]
	for _, u := range l.shown {
		if len(l.texts) == 0 && !u.whole {
			continue
		}
		if _, ok := m.own[standard][u.id]; ok {
			continue
		}
		if _, ok := m.builtin[fallback][u.id]; ok {
			continue
		}
		l.fail(u.pos, "no text for the message %s in %s%s", quote(u.id), standard, meant(u.id, slices.Collect(maps.Keys(m.own[standard]))))
	}
}

// ScopeMessage is the id of the text that says what a scope allows. It need not be there.
func ScopeMessage(scope string) string { return "scope." + scope }

// ClaimMessage is the id of the text that says what a claim tells. It need not be there.
func ClaimMessage(claim string) string { return "claim." + claim }

// ofApps says whether a text names what apps may ask for: which apps do is not only in definitions.
func ofApps(id string) bool {
	return strings.HasPrefix(id, ScopeMessage("")) || strings.HasPrefix(id, ClaimMessage(""))
}

// checkTexts reports texts that nothing shows, and arguments that who shows them does not give.
func (l *loader) checkTexts(m *Messages) {
	clean := len(l.problems) == 0 // otherwise a flow that does not load may show what seems to be shown by none
	shown := map[string][]usedMessage{}
	for _, u := range l.shown {
		shown[u.id] = append(shown[u.id], u)
	}
	for _, texts := range m.own {
		for id, t := range texts {
			standard, known := m.builtin[fallback][id]
			if known {
				l.checkArguments(id, t, standard.arguments(), "the server")
			}
			for _, u := range shown[id] {
				l.checkArguments(id, t, u.arguments, "the step at "+u.pos.String())
				l.checkWhole(id, t, u)
			}
			if clean && !known && !ofApps(id) && len(shown[id]) == 0 {
				ids := slices.Concat(slices.Collect(maps.Keys(m.builtin[fallback])), slices.Collect(maps.Keys(shown)))
				l.fail(t.pos, "message %s is shown by nothing%s", quote(id), meant(id, ids))
			}
		}
	}
}

func (l *loader) checkArguments(id string, t text, given []string, by string) {
	for _, a := range t.arguments() {
		if !slices.Contains(given, a) {
			l.fail(t.pos, "message %s: no argument %s is given by %s%s", quote(id), quote(a), by, didYouMeanOnly(a, given))
		}
	}
}

// checkWhole reports arguments that a text leaves out though what it shows is signed.
func (l *loader) checkWhole(id string, t text, u usedMessage) {
	for _, a := range u.arguments {
		if u.whole && !slices.Contains(t.arguments(), a) {
			l.fail(t.pos, "message %s: %s does not stand in it, and the step at %s has people sign what it shows", quote(id), quote(a), u.pos)
		}
	}
}

// meant is a hint at the nearest id. Among very many there is none: every mistake
// of a large file would be measured against everything in it.
func meant(id string, ids []string) string {
	const most = 200
	if len(ids) > most {
		return ""
	}
	return didYouMeanOnly(id, ids)
}
