package app

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Challenge is one challenge of a WWW-Authenticate header (RFC 9110 section
// 11.6.1), with what RFC 6750 section 3 and RFC 9470 section 3 put into it.
type Challenge struct {
	Scheme      string // as it was written
	Realm       string
	Error       string // "" when the request had no credentials
	Description string
	Scope       string
	ACRValues   []string       // one of them is required, the preferred first; nil: not said
	MaxAge      *time.Duration // nil: not said
	Params      map[string]string
}

// ParseChallenges reads the lines of WWW-Authenticate and is strict: what does
// not follow the grammar, a parameter that occurs twice in a challenge, and
// values that their RFC does not allow are errors; so is token68, which neither
// Bearer nor DPoP has. Names of parameters are returned in lower case.
func ParseChallenges(lines []string) ([]Challenge, error) {
	l := &lexer{rest: strings.Join(lines, ", ")} // RFC 9110 section 5.2
	var all []Challenge
	for l.commas(); l.rest != ""; l.commas() {
		scheme := l.token()
		if scheme == "" {
			return nil, l.fail("an authentication scheme is expected")
		}
		params, err := l.params()
		if err != nil {
			return nil, err
		}
		c := Challenge{Scheme: scheme, Params: params}
		if err := c.interpret(); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("app: WWW-Authenticate is missing or empty")
	}
	return all, nil
}

func (c *Challenge) interpret() error {
	c.Realm, c.Error, c.Description, c.Scope = c.Params["realm"], c.Params["error"], c.Params["error_description"], c.Params["scope"]
	for _, name := range []string{"error", "error_description", "scope", "acr_values"} {
		if value, ok := c.Params[name]; ok && (value == "" || strings.ContainsFunc(value, notAllowed)) {
			return fmt.Errorf("app: WWW-Authenticate: %s is %q", name, value)
		}
	}
	if values, ok := c.Params["acr_values"]; ok {
		c.ACRValues = strings.Split(values, " ")
		for _, v := range c.ACRValues {
			if v == "" {
				return fmt.Errorf("app: WWW-Authenticate: acr_values is %q", values)
			}
		}
	}
	if age, ok := c.Params["max_age"]; ok {
		seconds, err := strconv.ParseUint(age, 10, 31) // digits only
		if err != nil {
			return fmt.Errorf("app: WWW-Authenticate: max_age is %q", age)
		}
		d := time.Duration(seconds) * time.Second
		c.MaxAge = &d
	}
	return nil
}

// notAllowed names the characters that RFC 6750 section 3 keeps out of values.
func notAllowed(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }

// lexer reads a header from its left end.
type lexer struct{ rest string }

func (l *lexer) fail(text string) error {
	return fmt.Errorf("app: WWW-Authenticate: %s before %.40q", text, l.rest)
}

func (l *lexer) blanks() { l.rest = strings.TrimLeft(l.rest, " \t") }

// commas skips empty list elements (RFC 9110 section 5.6.1.2).
func (l *lexer) commas() { l.rest = strings.TrimLeft(l.rest, " \t,") }

func (l *lexer) token() string {
	n := strings.IndexFunc(l.rest, func(r rune) bool { return !tokenChar(r) })
	if n < 0 {
		n = len(l.rest)
	}
	t := l.rest[:n]
	l.rest = l.rest[n:]
	return t
}

func tokenChar(r rune) bool {
	return r < 0x7f && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
}

// params reads the auth-params of one challenge. After a comma comes either
// another parameter or, if no "=" follows the word, the next challenge.
func (l *lexer) params() (map[string]string, error) {
	params := map[string]string{}
	if l.rest != "" && l.rest[0] != ' ' && l.rest[0] != ',' {
		return nil, l.fail("a space is expected")
	}
	for l.blanks(); l.rest != ""; {
		if l.rest[0] == ',' {
			l.commas()
			if !l.atParam() {
				return params, nil
			}
		}
		if err := l.param(params); err != nil {
			return nil, err
		}
		if l.blanks(); l.rest != "" && l.rest[0] != ',' {
			return nil, l.fail("a comma is expected")
		}
	}
	return params, nil
}

// atParam looks whether a parameter comes next, without reading it.
func (l *lexer) atParam() bool {
	ahead := lexer{rest: l.rest}
	name := ahead.token()
	ahead.blanks()
	return name != "" && strings.HasPrefix(ahead.rest, "=")
}

func (l *lexer) param(into map[string]string) error {
	name := strings.ToLower(l.token())
	l.blanks()
	if name == "" || !strings.HasPrefix(l.rest, "=") {
		return l.fail("name=value is expected")
	}
	if _, twice := into[name]; twice {
		return l.fail("parameter " + name + " occurs twice")
	}
	l.rest = l.rest[1:]
	l.blanks()
	value, err := l.value()
	into[name] = value
	return err
}

func (l *lexer) value() (string, error) {
	if !strings.HasPrefix(l.rest, `"`) {
		if t := l.token(); t != "" {
			return t, nil
		}
		return "", l.fail("a value is expected")
	}
	var b strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == '"':
			l.rest = l.rest[i+1:]
			return b.String(), nil
		case c == '\\' && i+1 < len(l.rest):
			i++
			b.WriteByte(l.rest[i])
		case c < 0x20 && c != '\t' || c == 0x7f:
			return "", l.fail("a control character stands in a value")
		default:
			b.WriteByte(c)
		}
	}
	return "", l.fail("a quoted value does not end")
}
