package flowdefs_test

import (
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
)

func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	set, err := flowdefs.Load(examples.FS, ".", catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Flows) != 4 || len(set.Targets) != 4 || len(set.Providers) != 1 || len(set.Clients) != 2 {
		t.Errorf("loaded %d flows, %d targets, %d providers, %d clients", len(set.Flows), len(set.Targets), len(set.Providers), len(set.Clients))
	}
	for _, f := range set.Flows {
		again, err := flowdefs.Parse(f.Source, catalogue{})
		if err != nil {
			t.Fatalf("%v\n%s", err, f.Source)
		}
		if again.Hash != f.Hash {
			t.Errorf("hash changed\n%s\n%s", f.Source, again.Source)
		}
	}
	t.Logf("%s", set.Flows["mobile-banking"].Source)
}
