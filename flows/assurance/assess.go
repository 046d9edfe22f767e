package assurance

import "time"

// Policy says which evidence still counts.
type Policy struct {
	NotBefore time.Time // what was proved earlier does not count; zero: no limit
}

// Result is what a set of evidence amounts to at one instant.
type Result struct {
	Level    Level
	AMR      []string  // RFC 8176 values, sorted, never nil
	AuthTime time.Time // time of the oldest evidence that AMR and Level rest on; zero if none
}

// Assess computes what the evidence amounts to at the instant now. It is pure:
// the order of the evidence, the names of steps and evidence that is listed
// twice make no difference.
//
// Level is the best over all subsets of the fresh evidence, with the caps of
// the evidence applied within the subset. AMR lists all fresh evidence, also
// what the level does not need.
//
// AuthTime is the oldest time, not the latest: a relying party compares it with
// max_age (RFC 9470 §4, OpenID Connect Core §2) and must not be made to believe
// that all of acr and amr was proved when only the last part was.
func Assess(evidence []Evidence, now time.Time, p Policy) Result {
	live := Fresh(evidence, now, p)
	return Result{Level: level(live), AMR: amr(live), AuthTime: authTime(live)}
}

// Fresh keeps what counts at the instant now: proved (a record without a time
// proves nothing), not in the future, not expired (it is at exactly Expires)
// and not before the policy's NotBefore.
func Fresh(evidence []Evidence, now time.Time, p Policy) []Evidence {
	var live []Evidence
	for _, e := range evidence {
		switch {
		case e.At.IsZero():
		case e.At.After(now):
		case !e.Expires.IsZero() && !now.Before(e.Expires):
		case e.At.Before(p.NotBefore):
		default:
			live = append(live, e)
		}
	}
	return live
}

// authTime is the oldest time among evidence that gives an amr value or a
// category; anything else is not spoken of, so its age does not matter.
func authTime(live []Evidence) time.Time {
	var oldest time.Time
	for _, e := range live {
		if len(methodValues(e)) == 0 && len(credited(e)) == 0 {
			continue
		}
		if oldest.IsZero() || e.At.Before(oldest) {
			oldest = e.At
		}
	}
	return oldest
}
