package bench

import "testing"

// All three are measured.
func TestClients(t *testing.T) {
	t.Parallel()
	all, err := measureClients(t.Context(), 40)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for _, d := range all {
		if d.Server <= 0 || d.Floor <= 0 || d.Least <= 0 {
			t.Errorf("%+v", d)
		}
	}
}
