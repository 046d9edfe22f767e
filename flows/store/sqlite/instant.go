package sqlite

import (
	"math"
	"time"
)

// never is the zero time.Time at rest: before every instant.
const never = math.MinInt64

// nanos is an instant at rest. Instants that nanoseconds in 64 bits cannot tell
// (before 1677, after 2262) become the nearest that they can.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return never
	case t.Before(time.Unix(0, never+1)):
		return never + 1
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// instant is the inverse of nanos, in UTC.
func instant(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
