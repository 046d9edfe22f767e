package assurance

import "slices"

// Values that RFC 8176 has no word for. They stand beside the nearest
// registered one, so that a relying party that knows them can tell.
const (
	amrActivation = "urn:stile-auth:amr:activation"
	amrEmail      = "urn:stile-auth:amr:email"
	amrRecovery   = "urn:stile-auth:amr:recovery"
)

// Registered returns the values of the IANA registry "Authentication Method
// Reference Values", sorted: the twenty of RFC 8176 §2, and "pop" of OpenID
// Connect EAP ACR Values 1.0.
func Registered() []string {
	return []string{
		"face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd",
		"rba", "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia",
	}
}

// Mappable returns the registered values that a provider can be configured to
// stand for, sorted. Not among them: "mfa" and "mca", which are computed; "kba"
// and "vbm", which prove nothing any more (SP 800-63B-4 §3.1.1.2, §3.2.3).
func Mappable() []string {
	return slices.DeleteFunc(Registered(), func(v string) bool {
		return v == "mfa" || v == "mca" || v == "kba" || v == "vbm"
	})
}

// amr returns the RFC 8176 §2 values of the evidence, sorted and without
// repetition. "mfa" and "mca" stand beside the methods, never instead of them.
func amr(live []Evidence, d Deviations) []string {
	values := []string{}
	for _, e := range live {
		values = append(values, methodValues(e, d)...)
	}
	if multiFactor(live) {
		values = append(values, "mfa")
	}
	if multiChannel(live) {
		values = append(values, "mca")
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// multiChannel reports whether proofs came over more than one channel. It says
// nothing of factors: two codes over two channels are still one factor.
func multiChannel(live []Evidence) bool {
	first, found := "", false
	for _, e := range live {
		if len(credited(e)) == 0 || e.Method == mailedFactor {
			continue
		}
		if found && e.Channel != first {
			return true
		}
		first, found = e.Channel, true
	}
	return false
}

// methodValues returns what one evidence contributes.
//
// A PIN that this side verifies is a password: "pin" is reserved for one that
// unlocks a key on the device. Biometric values never come from here: what a
// device says of a finger is the device's word. What a provider vouches for is
// what its configuration grants or else the documented minimum, a password, if
// it is configured to prove knowledge; its own amr is never repeated.
func methodValues(e Evidence, d Deviations) []string {
	switch e.Method {
	case Password:
		return withPresence(e, "pwd")
	case PIN:
		if d.ServerPINIsPIN {
			return withPresence(e, "pin")
		}
		return withPresence(e, "pwd")
	case TOTP, HOTP:
		return withPresence(e, "otp")
	case SMS:
		return withPresence(e, "sms")
	case Voice:
		return withPresence(e, "tel")
	case Email, mailedFactor:
		return withPresence(e, "otp", amrEmail)
	case Recovery:
		return withPresence(e, "otp", amrRecovery)
	case Activation:
		return withPresence(e, "otp", amrActivation)
	case DeviceKey, Passkey, Certificate, Push:
		return withPresence(e, keyValues(e)...)
	case Risk:
		return []string{"rba"}
	case Location:
		return []string{"geo"}
	case Federated:
		return federatedValues(e)
	}
	return nil
}

func federatedValues(e Evidence) []string {
	switch {
	case len(e.Mapped) > 0:
		return e.Mapped
	case slices.Contains(e.Categories, Knowledge):
		return []string{"pwd"}
	}
	return nil
}

// withPresence adds "user" if the person interacted for this proof.
func withPresence(e Evidence, values ...string) []string {
	if e.UserPresent {
		return append(values, "user")
	}
	return values
}

// keyValues says where the key lives, as far as attestation proves it, and that
// a PIN unlocked it. Of contradictory claims the weaker holds.
func keyValues(e Evidence) []string {
	value := "pop"
	switch {
	case inHardware(e):
		value = "hwk"
	case e.Attested && e.SoftwareBound:
		value = "swk"
	}
	if e.Unlock == UnlockPIN {
		return []string{value, "pin"}
	}
	return []string{value}
}
