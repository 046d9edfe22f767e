package assurance

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNotReached reports that evidence does not amount to a level.
var ErrNotReached = errors.New("assurance: level not reached")

// Scale is an ordered list of levels that a deployment knows by name, the
// lowest first. It is immutable once it is in use.
type Scale struct {
	Name  string
	Rungs []Rung
}

// Rung is one level of a scale.
type Rung struct {
	Name   string        // as it stands in "acr"
	Floor  Level         // of the built-in scale, at least AAL1: what the evidence has to amount to before anything else is asked
	MaxAge time.Duration // how old the evidence may be; 0: as old as Floor allows
	// Holds asks what the built-in scale does not. It must be monotone: what
	// holds of a set holds of every larger one. nil: nothing more is asked.
	Holds func([]Evidence) bool
	Asks  string // what Holds asks, as it is written
}

// The names of the built-in scales.
const (
	NIST = "nist" // aal1 to aal3, SP 800-63B-4 §2
	EAP  = "eap"  // phr and phrh, OpenID Connect EAP ACR Values 1.0
)

// Scales are all scales of a deployment: the built-in ones and its own.
type Scales []Scale

// BuiltIn returns the scales that are always there.
func BuiltIn() Scales {
	nist := Scale{Name: NIST}
	for l := AAL1; l <= AAL3; l++ {
		nist.Rungs = append(nist.Rungs, Rung{Name: l.String(), Floor: l})
	}
	return Scales{nist, {Name: EAP, Rungs: []Rung{
		{Name: "phr", Floor: AAL1, Holds: func(set []Evidence) bool { return slices.ContainsFunc(set, resistsPhishing) }},
		{Name: "phrh", Floor: AAL1, Holds: func(set []Evidence) bool { return slices.ContainsFunc(set, isHardwareKey) }},
	}}}
}

// resistsPhishing: bound to the verifier's name (SP 800-63B-4 §3.2.5), which no
// code that a person can type ever is, whatever its record says.
func resistsPhishing(e Evidence) bool {
	return publicKey(e.Method) && e.PhishingResistant && isFactor(e)
}

// Find returns the scale that has a level of that name, and its place in it.
func (ss Scales) Find(name string) (s Scale, at int, err error) {
	for _, s := range ss {
		if i := slices.IndexFunc(s.Rungs, func(r Rung) bool { return r.Name == name }); i >= 0 {
			return s, i, nil
		}
	}
	return Scale{}, 0, fmt.Errorf("%w: %q", ErrUnknownLevel, name)
}

// Names returns the names of all levels, scale by scale, lowest first.
func (ss Scales) Names() []string {
	var out []string
	for _, s := range ss {
		for _, r := range s.Rungs {
			out = append(out, r.Name)
		}
	}
	return out
}

// Floor is what the built-in scale says of a named level: the least that it can
// amount to. None if there is no such level.
func (ss Scales) Floor(name string) Level {
	s, at, err := ss.Find(name)
	if err != nil {
		return None
	}
	return s.Rungs[at].Floor
}

// MaxAge is how old the evidence may be at most that a named level rests on, or
// one below it in its scale; 0 if there is no such level.
func (ss Scales) MaxAge(name string) time.Duration {
	s, at, err := ss.Find(name)
	if err != nil {
		return 0
	}
	age := AAL1.MaxAge()
	for _, r := range s.Rungs[:at+1] {
		if age = min(age, r.Floor.MaxAge()); r.MaxAge > 0 {
			age = min(age, r.MaxAge)
		}
	}
	return age
}

// Reach returns nil if the evidence amounts to the level of that name, and so to
// those below it, at the instant now; else [ErrNotReached], or
// [ErrUnknownLevel].
func (ss Scales) Reach(name string, evidence []Evidence, now time.Time, p Policy) error {
	s, at, err := ss.Find(name)
	if err != nil {
		return err
	}
	live := p.Deviations.apply(Fresh(evidence, now, p))
	if s.top(live, now) < at {
		return fmt.Errorf("%w: %s", ErrNotReached, name)
	}
	return nil
}

// Best returns the name of the highest level of a scale that the evidence
// amounts to, "" if it amounts to none.
func (s Scale) Best(evidence []Evidence, now time.Time, p Policy) string {
	live := p.Deviations.apply(Fresh(evidence, now, p))
	if top := s.top(live, now); top >= 0 {
		return s.Rungs[top].Name
	}
	return ""
}

// Reached returns the names of all levels that the evidence amounts to.
func (ss Scales) Reached(evidence []Evidence, now time.Time, p Policy) []string {
	live := p.Deviations.apply(Fresh(evidence, now, p))
	out := []string{}
	for _, s := range ss {
		for _, r := range s.Rungs[:s.top(live, now)+1] {
			out = append(out, r.Name)
		}
	}
	return out
}

// top is the place of the highest level that is reached, -1 if none is. A level
// is reached when it and all below it hold: a name that stands higher promises
// what stands below it.
func (s Scale) top(live []Evidence, now time.Time) int {
	for i, r := range s.Rungs {
		if !r.holds(live, now) {
			return i - 1
		}
	}
	return len(s.Rungs) - 1
}

// holds asks of the largest set that may carry the level: what holds of any set
// within it holds of it too.
func (r Rung) holds(live []Evidence, now time.Time) bool {
	set := able(live, r.Floor, now)
	if r.MaxAge > 0 {
		set = slices.DeleteFunc(set, func(e Evidence) bool { return now.Sub(e.At) > r.MaxAge })
	}
	return meets(r.Floor, set) && (r.Holds == nil || r.Holds(set))
}

// Scale returns the scale of that name, or [ErrUnknownLevel].
func (ss Scales) Scale(name string) (Scale, error) {
	for _, s := range ss {
		if s.Name == name {
			return s, nil
		}
	}
	return Scale{}, fmt.Errorf("%w: scale %q", ErrUnknownLevel, name)
}
