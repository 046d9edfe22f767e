package dpop

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// members are those of one JSON object, by their exact names.
type members map[string]json.RawMessage

// object reads one JSON object. It refuses what parsers read in different ways:
// duplicate names, text that is not UTF-8, and anything after the object.
func object(data []byte) (members, error) {
	if !utf8.Valid(data) {
		return nil, refuse("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, refuse("not a JSON object")
	}
	m := members{}
	for d.More() {
		token, err := d.Token()
		name, isName := token.(string)
		if err != nil || !isName {
			return nil, refuse("not JSON")
		}
		if _, twice := m[name]; twice {
			return nil, refuse("duplicate member")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, refuse("not JSON")
		}
		m[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, refuse("not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse("data after the object")
	}
	return m, nil
}

// text returns a member that must be a string and not empty.
func (m members) text(name string) (string, error) {
	var s *string // stays nil if the member is null
	if err := json.Unmarshal(m[name], &s); err != nil || s == nil || *s == "" {
		return "", refuse("%s is missing or not a string", name)
	}
	return *s, nil
}

// instant returns a member that must be a NumericDate (RFC 7519 §2).
func (m members) instant(name string) (time.Time, error) {
	const farthest = 1 << 40 // seconds; beyond, a time.Time overflows sooner or later
	seconds, err := strconv.ParseFloat(string(m[name]), 64)
	if err != nil || seconds < 0 || seconds > farthest {
		return time.Time{}, refuse("%s is missing or not a time", name)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second))).UTC(), nil
}
