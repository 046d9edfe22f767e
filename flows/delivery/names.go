package delivery

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/language"
)

// names is what authenticators are called, by language and type: the files
// names.LANGUAGE.txt, whose lines are TYPE = WORDS.
type names map[language.Tag]map[string]string

func (n names) add(tag language.Tag, data string) error {
	if n[tag] == nil {
		n[tag] = map[string]string{}
	}
	var errs []error
	for i, line := range strings.Split(strings.TrimSpace(data), "\n") {
		typ, words, ok := strings.Cut(line, "=")
		typ, words = strings.TrimSpace(typ), strings.TrimSpace(words)
		if !ok || typ == "" || words == "" {
			errs = append(errs, fmt.Errorf("line %d: expected TYPE = WORDS", i+1))
			continue
		}
		n[tag][typ] = words
	}
	return errors.Join(errs...)
}

// of calls an authenticator what it is called in that language, else by its type.
func (n names) of(tag language.Tag, typ string) string {
	for ; ; tag = tag.Parent() {
		if words, ok := n[tag][typ]; ok {
			return words
		}
		if tag == language.Und {
			return typ
		}
	}
}
