package assurance

import (
	"errors"
	"fmt"
)

// Level is a value of an ordered scale. The zero value is no assurance at all.
type Level int

// The built-in scale, NIST SP 800-63B-4 §2.
const (
	None Level = iota
	AAL1
	AAL2
	AAL3
)

// ErrUnknownLevel reports a name that is on no scale.
var ErrUnknownLevel = errors.New("assurance: unknown level")

// Levels returns the names of the built-in scale, lowest first.
func Levels() []string { return []string{"aal1", "aal2", "aal3"} }

// String returns the level's name as it stands in "acr"; None is "none".
func (l Level) String() string {
	if l <= None || l > AAL3 {
		return "none"
	}
	return Levels()[l-1]
}

// ParseLevel returns the level of that name, or [ErrUnknownLevel].
func ParseLevel(name string) (Level, error) {
	for i, n := range Levels() {
		if n == name {
			return Level(i + 1), nil
		}
	}
	return None, fmt.Errorf("%w: %q", ErrUnknownLevel, name)
}

// MarshalText writes the level's name: what is stored must not shift when the scale grows.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a level's name; "none" is None.
func (l *Level) UnmarshalText(text []byte) (err error) {
	if string(text) == None.String() {
		*l = None
		return nil
	}
	*l, err = ParseLevel(string(text))
	return err
}
