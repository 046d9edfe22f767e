package account

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The kinds of agreements.
const (
	Terms   = "terms"   // a document was accepted; Name is its id
	Consent = "consent" // an app may have what Scopes say; Name is its client id
)

// ErrAgreement reports what cannot be agreed to.
var ErrAgreement = errors.New("account: not an agreement")

// Agreement is something that a person has agreed to, until they take it back.
// (Subject, Kind, Name) is unique: what is agreed to later replaces it.
type Agreement struct {
	Subject string
	Kind    string
	Name    string
	Scopes  []string // sorted, each once
	Given   time.Time
}

// CheckAgreement says whether an agreement can be stored. Repositories call it
// in Agree. [ErrAgreement] says what is wrong.
func CheckAgreement(a Agreement) error {
	switch {
	case a.Subject == "" || a.Name == "" || a.Kind != Terms && a.Kind != Consent:
		return fmt.Errorf("%w: of nobody, to nothing, or of no kind", ErrAgreement)
	case !slices.IsSorted(a.Scopes) || len(slices.Compact(slices.Clone(a.Scopes))) != len(a.Scopes):
		return fmt.Errorf("%w: scopes are sorted, and each stands there once", ErrAgreement)
	}
	return nil
}

// CompareAgreements orders agreements of one account by kind and name.
func CompareAgreements(a, b Agreement) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
}

// FindAgreement returns the agreement of that kind and name; false if there is none.
func FindAgreement(all []Agreement, kind, name string) (Agreement, bool) {
	i := slices.IndexFunc(all, func(a Agreement) bool { return a.Kind == kind && a.Name == name })
	if i < 0 {
		return Agreement{}, false
	}
	return all[i], true
}
