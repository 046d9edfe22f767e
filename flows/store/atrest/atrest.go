// Package atrest is how values lie in stores that speak SQL: instants as whole
// numbers, and what becomes JSON in UTC.
package atrest

import (
	"math"
	"slices"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
)

// Never is the zero [time.Time] at rest: before every instant.
const Never = math.MinInt64

// Nanos is an instant at rest: nanoseconds since 1970. Instants that 64 bits cannot
// tell (before 1677, after 2262) become the nearest that they can.
func Nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return Never
	case t.Before(time.Unix(0, Never+1)):
		return Never + 1
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Instant is the inverse of [Nanos], in UTC.
func Instant(n int64) time.Time {
	if n == Never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// Evidence returns a copy whose instants are in UTC. JSON keeps no seconds of a
// zone's offset, so an instant in such a zone would move.
func Evidence(evidence []assurance.Evidence) []assurance.Evidence {
	out := slices.Clone(evidence)
	for i := range out {
		e := &out[i]
		e.At, e.Expires = e.At.UTC(), e.Expires.UTC()
		if e.Upstream != nil {
			up := *e.Upstream
			up.AuthTime, up.Began = up.AuthTime.UTC(), up.Began.UTC()
			e.Upstream = &up
		}
	}
	return out
}

// Tags does the same for tags.
func Tags(tags []flows.Tag) []flows.Tag {
	out := slices.Clone(tags)
	for i := range out {
		out[i].Until = out[i].Until.UTC()
	}
	return out
}

const aliasBytes = len(flows.Alias{})

// Pack writes aliases one behind the other.
func Pack(aliases []flows.Alias) []byte {
	out := make([]byte, 0, len(aliases)*aliasBytes)
	for _, a := range aliases {
		out = append(out, a[:]...)
	}
	return out
}

// Unpack is the inverse of [Pack].
func Unpack(b []byte) []flows.Alias {
	out := make([]flows.Alias, 0, len(b)/aliasBytes)
	for ; len(b) >= aliasBytes; b = b[aliasBytes:] {
		out = append(out, flows.Alias(b[:aliasBytes]))
	}
	return out
}

// Blob is b, but never NULL.
func Blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
