package assurance

import (
	"errors"
	"time"
)

// Policy says which evidence still counts.
type Policy struct {
	MaxAge time.Duration // evidence older than this does not count; 0: no limit
}

// Result is what a set of evidence amounts to at one instant.
type Result struct {
	Level    Level
	AMR      []string  // RFC 8176 values, sorted, never nil
	AuthTime time.Time // time of the oldest evidence that AMR and Level rest on; zero if none
}

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
}
