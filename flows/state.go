package flows

import (
	"context"
	"time"
)

// State is the machine's whole memory of a run.
type State struct{}

func (s *State) keep(any) error { return errBuild }
func (s *State) kept(any) error { return errBuild }

func (v *Visit) once(ctx context.Context, mark string, ttl time.Duration, exclusive bool) error {
	return errBuild
}
