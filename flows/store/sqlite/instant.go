package sqlite

import (
	"math"
	"time"
)

// never is the zero time.Time at rest: before every instant.
const never = math.MinInt64

// The instants that nanoseconds in 64 bits can tell; others are moved to the nearest.
var (
	earliest = time.Unix(0, never+1)
	latest   = time.Unix(0, math.MaxInt64)
)

// nanos is an instant at rest.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return never
	case t.Before(earliest):
		return never + 1
	case t.After(latest):
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
