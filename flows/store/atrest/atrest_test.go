package atrest_test

import (
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/store/atrest"
)

// Instants keep their order at rest, also those that 64 bits cannot tell, and the zero time is before all.
func TestInstants(t *testing.T) {
	t.Parallel()
	ordered := []time.Time{
		{}, time.Unix(-1<<40, 0), time.Unix(0, -1<<62), time.Unix(0, -1), time.Unix(0, 0), time.Unix(0, 1), time.Unix(0, 1<<62), time.Unix(1<<40, 0),
	}
	for i, at := range ordered {
		n := atrest.Nanos(at)
		if i > 0 && n <= atrest.Nanos(ordered[i-1]) {
			t.Errorf("%v does not come after %v", at, ordered[i-1])
		}
		back := atrest.Instant(n)
		if back.Location() != time.UTC || back.IsZero() != at.IsZero() || at.Year() > 1677 && at.Year() < 2262 && !back.Equal(at) {
			t.Errorf("%v comes back as %v", at, back)
		}
	}
}
