package assurance

import (
	"slices"
	"time"
)

// level is the highest L of the built-in scale such that some subset of the
// evidence meets L and no member of it is capped below L.
//
// No subset is enumerated, because only one has to be looked at. Every
// predicate below asks whether certain members exist, so a set that meets it
// still does when members are added. The largest subset in which nothing is
// capped below L therefore meets L whenever any such subset does. The work is
// quadratic in the evidence, and adding evidence can never lower the level.
func level(live []Evidence, now time.Time) Level {
	for l := AAL3; l > None; l-- {
		if meets(l, able(live, l, now)) {
			return l
		}
	}
	return None
}

// able keeps the evidence that may carry level l: not capped below it, and not
// older than it allows.
func able(live []Evidence, l Level, now time.Time) []Evidence {
	var out []Evidence
	for _, e := range live {
		if ceilingOf(e) >= l && now.Sub(e.At) <= l.MaxAge() {
			out = append(out, e)
		}
	}
	return out
}

// ceilingOf is the highest level that a set with this evidence in it can have.
// An authenticator carries no more than the level at which it was bound
// (SP 800-63B-4 §4.1.2), a verifier no more than it is trusted for, and the
// public telephone network (§3.2.9) no more than AAL1.
func ceilingOf(e Evidence) Level {
	l := min(e.Binding, e.Cap)
	if e.Restricted || e.Method == SMS || e.Method == Voice {
		l = min(l, AAL1)
	}
	return l
}

// meets applies SP 800-63B-4 §2.1-§2.3 to a set of evidence. It must stay
// monotone in the set: see [level].
func meets(l Level, set []Evidence) bool {
	switch l {
	case AAL1:
		return slices.ContainsFunc(set, isFactor)
	case AAL2:
		return multiFactor(set) && slices.ContainsFunc(set, resistsReplay)
	case AAL3:
		return meets(AAL2, set) && slices.ContainsFunc(set, isHardwareKey)
	default:
		return false
	}
}

// isFactor reports whether the evidence alone is an authentication (§2.1). A
// biometric characteristic alone never is (§3.2.3).
func isFactor(e Evidence) bool { return earns(e, Knowledge) || earns(e, Possession) }

// resistsReplay is the demand of §2.2.2 on one of the authenticators used.
func resistsReplay(e Evidence) bool { return isFactor(e) && e.ReplayResistant }

// isHardwareKey reports whether the evidence is the authenticator that AAL3
// asks for (§2.3.1, §2.3.2): a public key whose private part cannot leave its
// hardware, resistant to phishing and replay, used with intent.
func isHardwareKey(e Evidence) bool {
	return publicKey(e.Method) && earns(e, Possession) && inHardware(e) &&
		e.PhishingResistant && e.ReplayResistant && e.UserPresent
}

// publicKey reports whether the method is a signature by the claimant's key.
func publicKey(m Method) bool { return m == DeviceKey || m == Passkey || m == Certificate }

// inHardware reports whether attestation proves that the key stays in hardware.
// Without attestation, or with contradictory claims, nothing is proved.
func inHardware(e Evidence) bool {
	return e.Attested && e.HardwareBound && !e.SoftwareBound && !e.Exportable
}

// multiFactor reports whether the set holds two distinct categories (§2.2.1):
// possession, and knowledge or inherence. Knowledge with inherence is not
// enough, because a biometric counts only with the device that it belongs to
// (§3.2.3); so possession is always one of the two.
func multiFactor(set []Evidence) bool {
	for _, p := range set {
		if !earns(p, Possession) || p.Method == mailedFactor { // §3.1.3.1: e-mail is no factor
			continue
		}
		if earns(p, Knowledge) || earns(p, Inherence) {
			return true
		}
		if slices.ContainsFunc(set, func(e Evidence) bool { return secondFactor(p, e) }) {
			return true
		}
	}
	return false
}

// secondFactor reports whether e adds another category to the possession that p
// proves. The same authenticator used twice is one authenticator, whatever it
// was recorded as.
func secondFactor(p, e Evidence) bool {
	if p.Authenticator != "" && p.Authenticator == e.Authenticator {
		return false
	}
	return earns(e, Knowledge) || earns(e, Inherence) && e.Device != "" && e.Device == p.Device
}

// earns reports whether the evidence is credited with the category.
func earns(e Evidence, c Category) bool { return slices.Contains(credited(e), c) }

// credited returns the categories that the evidence counts for. A secret that
// is too short, an unknown method, and an authenticator or a verifier trusted
// for nothing earn none; neither do words that are no category.
func credited(e Evidence) []Category {
	if e.LowEntropy || ceilingOf(e) <= None || !known(e.Method) {
		return nil
	}
	var cs []Category
	for _, c := range e.Categories {
		if c == Knowledge || c == Possession || c == Inherence {
			cs = append(cs, c)
		}
	}
	return cs
}

// known reports whether the method is one that authenticates. A mailed code
// proves an address (SP 800-63B-4 §3.1.3.1) and signals prove nothing; of any
// other word nothing is known.
func known(m Method) bool {
	switch m {
	case Password, PIN, TOTP, HOTP, SMS, Voice, Recovery, Activation, DeviceKey, Passkey, Certificate, Push, Federated, mailedFactor:
		return true
	default:
		return false
	}
}
