package delivery

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/stile-auth/stile/flows"
)

//go:embed texts/*.txt
var builtin embed.FS

// templates are the templates, with what may stand in them.
func templates() map[string][]string {
	all := map[string][]string{"email_code": {"code", "minutes"}, "sms_code": {"code", "minutes"}, "magic_link": {"link", "client", "time", "minutes"}, "activation_code": {"code", "until"}}
	for _, n := range flows.Notices() {
		all[string(n)] = []string{"time", "authenticator"}
	}
	return all
}

const maxText = 64 << 10

// Texts is what messages say, by template and language.
type Texts struct {
	all   map[string]*spoken
	names names
}

// spoken is one template in its languages.
type spoken struct {
	tags    []language.Tag
	texts   []text
	matcher language.Matcher
}

type text struct{ subject, body string }

// NewTexts reads texts: those that the program comes with (English and German)
// and, in their place or beside them, the files of own (nil: none), which are
// named TEMPLATE.LANGUAGE.txt, such as email_code.fr.txt. The first line is the
// subject; the body begins behind an empty one. {code}, {link}, {client}, {time} and {minutes}
// stand for what is sent; nothing else is replaced, and nothing that is put in their place
// is looked at again. English is for everybody whose language there is not. Notices
// may hold {time} and {authenticator}; what these are called is in names.LANGUAGE.txt.
func NewTexts(own fs.FS) (*Texts, error) {
	t := &Texts{all: map[string]*spoken{}, names: names{}}
	shipped, err := fs.Sub(builtin, "texts")
	if err != nil {
		return nil, err
	}
	errs := []error{t.read(shipped)}
	if own != nil {
		errs = append(errs, t.read(own))
	}
	for _, s := range t.all {
		s.matcher = language.NewMatcher(s.tags)
	}
	return t, errors.Join(errs...)
}

func (t *Texts) read(dir fs.FS) error {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return fmt.Errorf("delivery: texts: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".txt") {
			if err := t.add(dir, name); err != nil {
				errs = append(errs, fmt.Errorf("delivery: %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (t *Texts) add(dir fs.FS, name string) error {
	parts := strings.Split(name, ".")
	if len(parts) != 3 || templates()[parts[0]] == nil && parts[0] != "names" {
		return errors.New("expected TEMPLATE.LANGUAGE.txt, with a template that there is")
	}
	tag, err := language.Parse(parts[1])
	if err != nil {
		return fmt.Errorf("%q is no language", parts[1])
	}
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return err
	}
	if len(data) > maxText {
		return fmt.Errorf("larger than %d bytes", maxText)
	}
	if parts[0] == "names" {
		return t.names.add(tag, string(data))
	}
	said, err := parse(parts[0], string(data))
	if err != nil {
		return err
	}
	s := t.all[parts[0]]
	if s == nil {
		s = &spoken{}
		t.all[parts[0]] = s
	}
	if i := slices.Index(s.tags, tag); i >= 0 {
		s.texts[i] = said
		return nil
	}
	at := len(s.tags)
	if tag == language.English {
		at = 0 // the matcher's default
	}
	s.tags, s.texts = slices.Insert(s.tags, at, tag), slices.Insert(s.texts, at, said)
	return nil
}

func parse(template, data string) (text, error) {
	subject, body, ok := strings.Cut(strings.ReplaceAll(data, "\r\n", "\n"), "\n\n")
	if !ok || strings.TrimSpace(subject) == "" || strings.Contains(subject, "\n") || strings.TrimSpace(body) == "" {
		return text{}, errors.New("expected a subject in one line, an empty line and a body")
	}
	known := templates()[template]
	for _, part := range []string{subject, body} {
		for rest := part; ; {
			_, after, found := strings.Cut(rest, "{")
			if !found {
				break
			}
			name, tail, closed := strings.Cut(after, "}")
			if !closed || !slices.Contains(known, name) {
				return text{}, fmt.Errorf("{%s is none of {%s}", name, strings.Join(known, "}, {"))
			}
			rest = tail
		}
	}
	if !strings.Contains(subject+body, "{"+known[0]+"}") {
		return text{}, fmt.Errorf("{%s} is not in it", known[0])
	}
	return text{subject, body}, nil
}

// render writes a message out.
func (t *Texts) render(id string, m flows.Message) (Mail, error) {
	s := t.all[m.Template]
	if s == nil {
		return Mail{}, fmt.Errorf("%w: there is no template %q", ErrRefused, m.Template)
	}
	_, i, _ := s.matcher.Match(language.Make(m.Locale))
	var pairs []string
	for _, name := range templates()[m.Template] {
		value := m.Args[name]
		if name == "authenticator" {
			value = t.names.of(s.tags[i], value)
		}
		pairs = append(pairs, "{"+name+"}", oneLine(value))
	}
	fill := strings.NewReplacer(pairs...)
	return Mail{
		ID: id, Channel: m.Channel, To: m.To, Template: m.Template, Locale: s.tags[i].String(),
		Subject: fill.Replace(s.texts[i].subject), Text: fill.Replace(s.texts[i].body), Args: m.Args, Expires: m.Expires,
	}, nil
}

// oneLine keeps what is put into a text from becoming another line of a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
