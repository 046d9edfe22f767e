package assurance

import "slices"

// EmailAMR says in "amr" that a code came by e-mail, for which the registry has
// no word: whoever takes "otp" for a generator of codes can tell.
const EmailAMR = "urn:stile:amr:email"

// amr returns the RFC 8176 §2 values of the evidence, sorted and without
// repetition. "mfa" stands beside the methods, never instead of them. "mca"
// needs two distinct channels; evidence records no channel, so it is never said.
func amr(live []Evidence) []string {
	values := []string{}
	for _, e := range live {
		values = append(values, methodValues(e)...)
	}
	if multiFactor(live) {
		values = append(values, "mfa")
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// methodValues returns what one evidence contributes.
//
// A PIN that this side verifies is a password: "pin" is reserved for one that
// unlocks a key on the device. What a provider vouches for is reported as the
// documented minimum, a password, if the provider is configured to prove
// knowledge, and as nothing otherwise; its own amr is never repeated.
func methodValues(e Evidence) []string {
	switch e.Method {
	case Password, PIN:
		return withPresence(e, "pwd")
	case TOTP:
		return withPresence(e, "otp")
	case Email: // nearest in the registry, and what tells it from a generator of codes
		return withPresence(e, "otp", EmailAMR)
	case DeviceKey:
		return withPresence(e, keyValue(e))
	case Federated:
		if slices.Contains(e.Categories, Knowledge) {
			return []string{"pwd"}
		}
	}
	return nil
}

// withPresence adds "user" if the person interacted for this proof.
func withPresence(e Evidence, values ...string) []string {
	if e.UserPresent {
		values = append(values, "user")
	}
	return values
}

// keyValue says where the key lives, as far as attestation proves it. Of
// contradictory claims the weaker holds.
func keyValue(e Evidence) string {
	switch {
	case inHardware(e):
		return "hwk"
	case e.Attested && e.SoftwareBound:
		return "swk"
	default:
		return "pop"
	}
}
