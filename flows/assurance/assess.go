package assurance

import "time"

// Policy says which evidence still counts, and how.
type Policy struct {
	NotBefore  time.Time // what was proved earlier does not count; zero: no limit
	Deviations Deviations
}

// Deviations are the points at which a deployment may depart from the rules of
// this package, each of them off by default and by its own name.
type Deviations struct {
	// ServerPINIsPIN reports "pin" for a PIN that the server verifies. RFC 8176
	// §2 keeps that value for a PIN that unlocks a key on the device.
	ServerPINIsPIN bool
	// EmailIsFactor lets a code sent by mail count as something held, at most
	// for aal1. SP 800-63B-4 §3.1.3.1 forbids it.
	EmailIsFactor bool
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
	live := p.Deviations.apply(Fresh(evidence, now, p))
	return Result{Level: level(live, now), AMR: amr(live, p.Deviations), AuthTime: authTime(live)}
}

// MaxAge is how old evidence may be that carries a level: the overall limits of
// SP 800-63B-4 §2.1.3, §2.2.3 and §2.3.3. What carries nothing has no age.
func (l Level) MaxAge() time.Duration {
	switch {
	case l >= AAL3:
		return 12 * time.Hour
	case l == AAL2:
		return 24 * time.Hour
	default:
		return 30 * 24 * time.Hour
	}
}

// MaxIdle is how long a session may rest before what it proved carries a level
// no more (SP 800-63B-4 §2.2.3, §2.3.3); 0: no limit.
func (l Level) MaxIdle() time.Duration {
	switch {
	case l >= AAL3:
		return 15 * time.Minute
	case l == AAL2:
		return time.Hour
	default:
		return 0
	}
}

// Fresh keeps what counts at the instant now: proved (a record without a time
// proves nothing), not in the future, not expired (it is at exactly Expires),
// not older than the lowest level allows, and not before the policy's
// NotBefore.
func Fresh(evidence []Evidence, now time.Time, p Policy) []Evidence {
	var live []Evidence
	for _, e := range evidence {
		switch {
		case e.At.IsZero():
		case e.At.After(now):
		case !e.Expires.IsZero() && !now.Before(e.Expires):
		case e.At.Before(p.NotBefore):
		case now.Sub(e.At) > AAL1.MaxAge():
		default:
			live = append(live, e)
		}
	}
	return live
}

// mailedFactor is the method of a mailed code where a deployment lets it count.
const mailedFactor Method = "email as a factor"

// apply lets evidence count for what a deployment has decided that it counts for.
func (d Deviations) apply(live []Evidence) []Evidence {
	for i := range live {
		if e := &live[i]; e.Method == Email && d.EmailIsFactor {
			e.Method, e.Categories, e.Cap = mailedFactor, []Category{Possession}, min(e.Cap, AAL1)
		}
	}
	return live
}

// authTime is the oldest time among evidence that gives an amr value or a
// category; anything else is not spoken of, so its age does not matter.
func authTime(live []Evidence) time.Time {
	var oldest time.Time
	for _, e := range live {
		if len(methodValues(e, Deviations{})) == 0 && len(credited(e)) == 0 {
			continue
		}
		if oldest.IsZero() || e.At.Before(oldest) {
			oldest = e.At
		}
	}
	return oldest
}
