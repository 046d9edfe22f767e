package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
)

// differ compares two answers token by token, in the order in which their
// members stand: the same bytes but for spaces, ways to escape, and what is
// random. It returns where they differ first, "" if they do not.
func differ(a, b reply) string {
	if a.status != b.status {
		return fmt.Sprintf("status %d and %d", a.status, b.status)
	}
	x, y := scan(a.body), scan(b.body)
	for {
		p, t, errX := x.next()
		q, u, errY := y.next()
		if errors.Is(errX, io.EOF) && errors.Is(errY, io.EOF) {
			return ""
		}
		if errX != nil || errY != nil {
			return fmt.Sprintf("%s: one answer ends before the other (%v, %v)", p, errX, errY)
		}
		if p != q || !alike(p, t, u) {
			return fmt.Sprintf("%s %v and %s %v", p, t, q, u)
		}
	}
}

// scanner reads JSON tokens with the path of the member that they belong to.
type scanner struct {
	d     *json.Decoder
	stack []level
}

type level struct {
	object bool
	key    string
	count  int // tokens seen on this level
}

func scan(body []byte) *scanner {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return &scanner{d: d}
}

func (s *scanner) next() (string, json.Token, error) {
	t, err := s.d.Token()
	if err != nil {
		return s.path(), nil, err
	}
	delim, isDelim := t.(json.Delim)
	if isDelim && (delim == '}' || delim == ']') {
		s.stack = s.stack[:len(s.stack)-1]
		return s.path(), t, nil
	}
	if k := len(s.stack); k > 0 {
		top := &s.stack[k-1]
		top.count++
		if top.object && top.count%2 == 1 {
			top.key = fmt.Sprint(t)
			return s.path(), t, nil
		}
	}
	path := s.path()
	if isDelim {
		s.stack = append(s.stack, level{object: delim == '{'})
	}
	return path, t, nil
}

func (s *scanner) path() string {
	var b bytes.Buffer
	for _, l := range s.stack {
		if l.object {
			b.WriteString("." + l.key)
		}
	}
	return b.String()
}

// random are the members of answers that are different each time.
func random() []string {
	return []string{".flow.id", ".handle", ".result.session", ".result.grant.token"}
}

var (
	ports    = regexp.MustCompile(`127\.0\.0\.1(:|%3A)[0-9]+`)
	pictures = regexp.MustCompile(`^data:image/(?:png|svg\+xml);base64,[A-Za-z0-9+/]+=*$`)
	runs     = regexp.MustCompile(`[A-Za-z0-9_-]+`)
)

const leastRandom = 16 // characters

// alike says whether two tokens are the same, or random both.
func alike(path string, a, b json.Token) bool {
	if a == b {
		return true
	}
	s, ok := a.(string)
	t, ok2 := b.(string)
	switch {
	case !ok || !ok2:
		return false
	case slices.Contains(random(), path):
		return s != "" && t != ""
	case len(path) >= len(dataPath) && path[:len(dataPath)] == dataPath:
		return masked(s, t)
	}
	return false
}

const dataPath = ".nextStep.data"

// masked compares two strings of a prompt's data: long words of one length may
// be other words, since challenges, states and ids are; so may the ports of providers.
func masked(a, b string) bool {
	if pictures.MatchString(a) && pictures.MatchString(b) { // of words that are alike
		return true
	}
	a, b = ports.ReplaceAllString(a, "127.0.0.1"), ports.ReplaceAllString(b, "127.0.0.1")
	x, y := runs.FindAllString(a, -1), runs.FindAllString(b, -1)
	if len(x) != len(y) || !slices.Equal(runs.Split(a, -1), runs.Split(b, -1)) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && (len(x[i]) < leastRandom || len(x[i]) != len(y[i])) {
			return false
		}
	}
	return true
}
