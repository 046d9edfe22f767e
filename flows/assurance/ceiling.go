package assurance

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrAboveCeiling reports evidence that claims more than its step type can prove.
var ErrAboveCeiling = errors.New("assurance: evidence above the ceiling of its step type")

// Ceiling is the most that one outcome of a step type can prove.
type Ceiling struct {
	Method            Method
	Categories        []Category
	PhishingResistant bool
	ReplayResistant   bool
	HardwareBound     bool
	SoftwareBound     bool
	Attested          bool
	UserPresent       bool
	UserVerified      bool
	Unlock            Unlock   // the only word that evidence may say
	Mapped            []string // the only values that evidence may be granted
	Cap               Level    // most that the verifier is trusted for; None: no limit of its own
	Channel           string   // what carries the proof, if it is not the app's own connection
}

// Allows returns nil if the evidence is of the ceiling's method and nowhere
// stronger than it, else [ErrAboveCeiling]. What only weakens evidence
// (Exportable, Restricted, LowEntropy, lower levels) is always allowed.
func (c Ceiling) Allows(e Evidence) error {
	if e.Method != c.Method {
		return fmt.Errorf("%w: method %q instead of %q", ErrAboveCeiling, e.Method, c.Method)
	}
	for _, category := range e.Categories {
		if !slices.Contains(c.Categories, category) {
			return fmt.Errorf("%w: category %q", ErrAboveCeiling, category)
		}
	}
	if e.Binding > AAL3 || e.Cap > c.limit() {
		return fmt.Errorf("%w: level off the scale", ErrAboveCeiling)
	}
	for _, value := range e.Mapped {
		if !slices.Contains(c.Mapped, value) {
			return fmt.Errorf("%w: amr %q", ErrAboveCeiling, value)
		}
	}
	for _, axis := range c.axes(e) {
		if axis.claimed && !axis.allowed {
			return fmt.Errorf("%w: %s", ErrAboveCeiling, axis.name)
		}
	}
	return nil
}

func (c Ceiling) limit() Level {
	if c.Cap == None {
		return AAL3
	}
	return min(c.Cap, AAL3)
}

// axis is one property that strengthens evidence: whether it is claimed, and
// whether the ceiling allows the claim.
type axis struct {
	name             string
	claimed, allowed bool
}

func (c Ceiling) axes(e Evidence) []axis {
	return []axis{
		{"phishing-resistant", e.PhishingResistant, c.PhishingResistant},
		{"replay-resistant", e.ReplayResistant, c.ReplayResistant},
		{"hardware-bound", e.HardwareBound, c.HardwareBound},
		{"software-bound", e.SoftwareBound, c.SoftwareBound},
		{"attested", e.Attested, c.Attested},
		{"user present", e.UserPresent, c.UserPresent},
		{"user verified", e.UserVerified, c.UserVerified},
		{"unlock", e.Unlock != "", e.Unlock == c.Unlock},
	}
}

// CheckCeilings returns nil if one of the ceilings alone allows the evidence.
// Otherwise it returns [ErrAboveCeiling]; so it does when there is no ceiling,
// because a step type without one proves nothing.
func CheckCeilings(cs []Ceiling, e Evidence) error {
	if len(cs) == 0 {
		return fmt.Errorf("%w: it proves nothing", ErrAboveCeiling)
	}
	var errs []error
	for _, c := range cs {
		err := c.Allows(e)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Highest returns the strongest evidence that the ceiling allows, made at that
// instant by an authenticator bound at the level binding and by a verifier
// trusted up to limit. [Assess] of one such evidence for each authenticator is
// the most that an account can reach. The caller names Authenticator and Device.
func Highest(c Ceiling, binding, limit Level, at time.Time) Evidence {
	return Evidence{
		Method:            c.Method,
		At:                at,
		Categories:        slices.Clone(c.Categories),
		PhishingResistant: c.PhishingResistant,
		ReplayResistant:   c.ReplayResistant,
		HardwareBound:     c.HardwareBound,
		SoftwareBound:     c.SoftwareBound && !c.HardwareBound, // a key is in one place: the better one
		Attested:          c.Attested,
		UserPresent:       c.UserPresent,
		UserVerified:      c.UserVerified,
		Unlock:            c.Unlock,
		Mapped:            slices.Clone(c.Mapped),
		Binding:           binding,
		Cap:               min(limit, c.limit()),
		Channel:           c.Channel,
	}
}
