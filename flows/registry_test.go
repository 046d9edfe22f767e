package flows_test

import (
	"strings"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// A step that finds out whose authenticator it checks has to check one.
func TestDiscovers(t *testing.T) {
	t.Parallel()
	typ := flows.StepType{
		Name: "finder", Doc: "Finds.", Code: "FINDER_REQUIRED", Discovers: true,
		New: func(flowdefs.Config) (flows.Step, error) { return nil, nil },
	}
	if _, err := flows.NewRegistry(typ); err == nil || !strings.Contains(err.Error(), "discovers") {
		t.Errorf("got %v", err)
	}
	typ.Authenticator = "passkey"
	if _, err := flows.NewRegistry(typ); err != nil {
		t.Error(err)
	}
}
