package flows

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
)

// Registry holds the step types. It is immutable and implements [flowdefs.Catalogue].
type Registry struct {
	types map[string]StepType
	names []string
}

var _ flowdefs.Catalogue = (*Registry)(nil)

var (
	typeName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	codeName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*_REQUIRED$`)
)

// NewRegistry checks the step types and reports all bad or duplicate ones at once.
func NewRegistry(types ...StepType) (*Registry, error) {
	r := &Registry{types: make(map[string]StepType, len(types))}
	var errs []error
	for _, t := range types {
		if err := checkType(t); err != nil {
			errs = append(errs, fmt.Errorf("flows: step type %q: %w", t.Name, err))
		}
		if _, dup := r.types[t.Name]; dup {
			errs = append(errs, fmt.Errorf("flows: step type %q is listed twice", t.Name))
		}
		r.types[t.Name] = t
	}
	r.names = slices.Sorted(maps.Keys(r.types))
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return r, nil
}

func checkType(t StepType) error {
	var errs []error
	add := func(bad bool, what string) {
		if bad {
			errs = append(errs, errors.New(what))
		}
	}
	add(!typeName.MatchString(t.Name) || len(t.Name) > 64, "name must match "+typeName.String()+" and have at most 64 characters")
	add(strings.TrimSpace(t.Doc) == "", "has no documentation")
	add(t.Code != "" && !codeName.MatchString(t.Code), "code must match "+codeName.String())
	add(t.New == nil, "has no New")
	add(t.Guessable && t.Authenticator == "", "is guessable but names no authenticator to count attempts on")
	add(t.Sends && t.Code == "", "sends but never asks for what it sent")
	add(t.Links && !t.Sends, "has links and sends nothing")
	add(t.Names && len(t.Evidence) > 0, "names and proves: a name is never a proof")
	add(t.Discovers && t.Authenticator == "", "discovers whose authenticator it is, and checks none")
	add(t.Notice != "" && !slices.Contains(Notices(), t.Notice), fmt.Sprintf("has a notice %q that there is not", t.Notice))
	add(t.Transaction != nil && len(t.Evidence) == 0, "has a transaction signed and proves nothing")
	add(t.EndsSessions && (!t.Enrols || !t.NeedsSubject), "ends sessions, and binds nothing or needs nobody")
	add(t.Removes && (!t.NeedsSubject || t.Enrols || len(t.Evidence) > 0), "removes authenticators, and needs nobody, enrols or proves")
	add(t.Enrols && len(t.Evidence) > 0, "enrols and proves: an enrolment is never a proof")
	return errors.Join(errs...)
}

// Lookup returns the step type of that name.
func (r *Registry) Lookup(name string) (StepType, bool) {
	t, ok := r.types[name]
	return t, ok
}

// Names returns all names, sorted.
func (r *Registry) Names() []string { return slices.Clone(r.names) }

// Types returns all step types, sorted by name.
func (r *Registry) Types() []StepType {
	out := make([]StepType, len(r.names))
	for i, name := range r.names {
		out[i] = r.types[name]
	}
	return out
}

// Describe returns the loader's view of a step type.
func (r *Registry) Describe(name string) (flowdefs.StepInfo, bool) {
	t, ok := r.types[name]
	if !ok {
		return flowdefs.StepInfo{}, false
	}
	return flowdefs.StepInfo{
		Name: t.Name, Doc: t.Doc, Config: t.Config, Exits: slices.Clone(t.Exits), Never: never(t), Sends: t.Sends, Signs: t.Transaction != nil, Last: t.Removes,
		Provider: t.Provider,
		Check: func(cfg flowdefs.Config) error {
			_, err := t.New(cfg)
			return err
		},
	}, true
}

// never lists the exits of the engine that steps of a type cannot be left by.
func never(t StepType) []string {
	var out []string
	if !t.Guessable {
		out = append(out, exitLocked)
	}
	if !t.Enrols && !t.Removes {
		out = append(out, exitInsufficient)
	}
	if t.Code == "" {
		out = append(out, exitTimeout)
	}
	return out
}
