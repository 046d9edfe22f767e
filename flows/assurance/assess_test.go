package assurance_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flows/assurance"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// password, totp, deviceKey and federated are the evidence that the steps of
// those names leave; with changes it.
func password() assurance.Evidence {
	return local(assurance.Password, "pw", assurance.Knowledge)
}

func totp() assurance.Evidence {
	return with(local(assurance.TOTP, "otp", assurance.Possession), func(e *assurance.Evidence) { e.ReplayResistant = true })
}

func deviceKey() assurance.Evidence {
	return with(local(assurance.DeviceKey, "key", assurance.Possession), func(e *assurance.Evidence) {
		e.Device, e.ReplayResistant, e.UserPresent = "phone", true, true
	})
}

func hardwareKey() assurance.Evidence {
	return with(deviceKey(), func(e *assurance.Evidence) {
		e.HardwareBound, e.Attested, e.PhishingResistant = true, true, true
	})
}

func federated() assurance.Evidence {
	return with(local(assurance.Federated, "https://idp.example jane", assurance.Knowledge), func(e *assurance.Evidence) {
		e.Cap = assurance.AAL2
		e.Upstream = &assurance.Upstream{Issuer: "https://idp.example", AMR: []string{"hwk", "mfa"}, ACR: "aal3"}
	})
}

func local(m assurance.Method, id string, cs ...assurance.Category) assurance.Evidence {
	return assurance.Evidence{
		Step: string(m), Method: m, Authenticator: id, At: now.Add(-time.Minute),
		Categories: cs, Binding: assurance.AAL3, Cap: assurance.AAL3,
	}
}

func with(e assurance.Evidence, change func(*assurance.Evidence)) assurance.Evidence {
	change(&e)
	return e
}

func list(es ...assurance.Evidence) []assurance.Evidence { return es }

func TestAssess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		evidence []assurance.Evidence
		level    assurance.Level
		amr      []string
	}{
		{"nothing", nil, assurance.None, []string{}},
		{"SP 800-63B-4 2.1: one authenticator is aal1", list(password()), assurance.AAL1, []string{"pwd"}},
		{"SP 800-63B-4 2.2.1: password and TOTP are aal2", list(password(), totp()), assurance.AAL2, []string{"mfa", "otp", "pwd"}},
		{
			"SP 800-63B-4 2.2.2: no replay resistance, no aal2",
			list(password(), with(totp(), func(e *assurance.Evidence) { e.ReplayResistant = false })),
			assurance.AAL1,
			[]string{"mfa", "otp", "pwd"},
		},
		{
			"replay resistance of evidence that earns nothing does not count",
			list(password(), with(totp(), func(e *assurance.Evidence) { e.ReplayResistant = false }),
				with(local(assurance.PIN, "pin", assurance.Knowledge), func(e *assurance.Evidence) { e.LowEntropy, e.ReplayResistant = true, true })),
			assurance.AAL1,
			[]string{"mfa", "otp", "pwd"},
		},
		{
			"RFC 8176 2: two of one category are not mfa",
			list(totp(), deviceKey()), assurance.AAL1,
			[]string{"otp", "pop", "user"},
		},
		{
			"two passwords are not mfa",
			list(password(), with(password(), func(e *assurance.Evidence) { e.Authenticator, e.ReplayResistant = "pw2", true })),
			assurance.AAL1,
			[]string{"pwd"},
		},
		{
			"one multi-factor authenticator is enough",
			list(with(deviceKey(), func(e *assurance.Evidence) {
				e.Categories = []assurance.Category{assurance.Possession, assurance.Inherence}
			})),
			assurance.AAL2,
			[]string{"mfa", "pop", "user"},
		},
		{
			"SP 800-63B-4 3.2.3: a biometric alone is nothing",
			list(with(deviceKey(), func(e *assurance.Evidence) { e.Categories = []assurance.Category{assurance.Inherence} })),
			assurance.None,
			[]string{"pop", "user"},
		},
		{
			"SP 800-63B-4 3.2.3: a biometric does not go with a password",
			list(password(), with(deviceKey(), func(e *assurance.Evidence) { e.Categories = []assurance.Category{assurance.Inherence} })),
			assurance.AAL1,
			[]string{"pop", "pwd", "user"},
		},
		{
			"a biometric goes with the device that it belongs to",
			list(deviceKey(), with(deviceKey(), func(e *assurance.Evidence) {
				e.Authenticator, e.Categories = "face", []assurance.Category{assurance.Inherence}
			})),
			assurance.AAL2,
			[]string{"mfa", "pop", "user"},
		},
		{
			"a biometric does not go with another device",
			list(deviceKey(), with(deviceKey(), func(e *assurance.Evidence) {
				e.Authenticator, e.Device, e.Categories = "face", "tablet", []assurance.Category{assurance.Inherence}
			})),
			assurance.AAL1,
			[]string{"pop", "user"},
		},
		{
			"two unknown devices are not the same device",
			list(totp(), with(totp(), func(e *assurance.Evidence) {
				e.Authenticator, e.Categories = "face", []assurance.Category{assurance.Inherence}
			})),
			assurance.AAL1,
			[]string{"otp"},
		},
		{
			"one authenticator recorded twice is one authenticator",
			list(federated(), with(federated(), func(e *assurance.Evidence) {
				e.Categories, e.ReplayResistant = []assurance.Category{assurance.Possession}, true
			})),
			assurance.AAL1,
			[]string{"pwd"},
		},
		{
			"a PIN verified here is a password; a short one earns nothing",
			list(with(local(assurance.PIN, "pin", assurance.Knowledge), func(e *assurance.Evidence) { e.LowEntropy = true })),
			assurance.None,
			[]string{"pwd"},
		},
		{
			"a short PIN is no second factor",
			list(totp(), with(local(assurance.PIN, "pin", assurance.Knowledge), func(e *assurance.Evidence) { e.LowEntropy = true })),
			assurance.AAL1,
			[]string{"otp", "pwd"},
		},
		{
			"SP 800-63B-4 4.1.2: level at binding caps",
			list(password(), with(totp(), func(e *assurance.Evidence) { e.Binding = assurance.AAL1 })),
			assurance.AAL1,
			[]string{"mfa", "otp", "pwd"},
		},
		{
			"an authenticator bound at no level proves nothing",
			list(password(), with(totp(), func(e *assurance.Evidence) { e.Binding = assurance.None })),
			assurance.AAL1,
			[]string{"otp", "pwd"},
		},
		{
			"a cap holds in its subset only",
			list(password(), totp(), with(password(), func(e *assurance.Evidence) { e.Authenticator, e.Binding = "old", assurance.AAL1 })),
			assurance.AAL2,
			[]string{"mfa", "otp", "pwd"},
		},
		{
			"SP 800-63B-4 3.2.9: restricted evidence carries aal1 only",
			list(password(), with(totp(), func(e *assurance.Evidence) { e.Restricted = true })),
			assurance.AAL1,
			[]string{"mfa", "otp", "pwd"},
		},
		{"SP 800-63B-4 2.3: hardware key and password are aal3", list(password(), hardwareKey()), assurance.AAL3, []string{"hwk", "mfa", "pwd", "user"}},
		{"a hardware key alone is one factor", list(hardwareKey()), assurance.AAL1, []string{"hwk", "user"}},
		{"a provider's word is capped, its amr is never repeated", list(federated()), assurance.AAL1, []string{"pwd"}},
		{"a provider and a hardware key are capped by the provider", list(federated(), hardwareKey()), assurance.AAL2, []string{"hwk", "mfa", "pwd", "user"}},
		{
			"ASVS 6.8.4: a provider that proves possession has no amr value",
			list(with(federated(), func(e *assurance.Evidence) {
				e.Categories, e.UserPresent = []assurance.Category{assurance.Possession}, true
			})),
			assurance.AAL1,
			[]string{},
		},
		{
			"an unknown method proves nothing",
			list(local("palmistry", "x", assurance.Knowledge), totp()), assurance.AAL1,
			[]string{"otp"},
		},
		{
			"an unknown category earns nothing",
			list(local(assurance.Password, "x", "charm"), totp()), assurance.AAL1,
			[]string{"otp", "pwd"},
		},
		{
			"attested software key",
			list(with(deviceKey(), func(e *assurance.Evidence) { e.SoftwareBound, e.Attested = true, true })),
			assurance.AAL1,
			[]string{"swk", "user"},
		},
		{
			"attestation alone says nothing of hardware",
			list(with(deviceKey(), func(e *assurance.Evidence) { e.Attested = true })),
			assurance.AAL1,
			[]string{"pop", "user"},
		},
		{
			"hwk and swk need attestation",
			list(with(deviceKey(), func(e *assurance.Evidence) { e.HardwareBound = true }),
				with(deviceKey(), func(e *assurance.Evidence) { e.SoftwareBound = true })),
			assurance.AAL1,
			[]string{"pop", "user"},
		},
		{
			"contradictory claims: the weaker holds",
			list(with(hardwareKey(), func(e *assurance.Evidence) { e.SoftwareBound = true })),
			assurance.AAL1,
			[]string{"swk", "user"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := assurance.Assess(tt.evidence, now, assurance.Policy{})
			if got.Level != tt.level {
				t.Errorf("level = %v, want %v", got.Level, tt.level)
			}
			if diff := cmp.Diff(tt.amr, got.AMR); diff != "" {
				t.Errorf("amr (-want +got):\n%s", diff)
			}
		})
	}
}

// SP 800-63B-4 §2.3.1, §2.3.2: without any one of these a key does not carry aal3.
func TestAssessAAL3NeedsEveryProperty(t *testing.T) {
	t.Parallel()
	weaken := map[string]func(*assurance.Evidence){
		"public key":        func(e *assurance.Evidence) { e.Method = assurance.TOTP },
		"phishing":          func(e *assurance.Evidence) { e.PhishingResistant = false },
		"replay":            func(e *assurance.Evidence) { e.ReplayResistant = false },
		"hardware":          func(e *assurance.Evidence) { e.HardwareBound = false },
		"attested":          func(e *assurance.Evidence) { e.Attested = false },
		"exportable":        func(e *assurance.Evidence) { e.Exportable = true },
		"user present":      func(e *assurance.Evidence) { e.UserPresent = false },
		"software as well":  func(e *assurance.Evidence) { e.SoftwareBound = true },
		"bound lower":       func(e *assurance.Evidence) { e.Binding = assurance.AAL2 },
		"verifier capped":   func(e *assurance.Evidence) { e.Cap = assurance.AAL2 },
		"restricted":        func(e *assurance.Evidence) { e.Restricted = true },
		"not in possession": func(e *assurance.Evidence) { e.Categories = []assurance.Category{assurance.Inherence} },
	}
	for name, change := range weaken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The TOTP keeps the set at aal2 whatever the key loses.
			got := assurance.Assess(list(password(), totp(), with(hardwareKey(), change)), now, assurance.Policy{})
			if got.Level != assurance.AAL2 {
				t.Errorf("level = %v, want aal2", got.Level)
			}
		})
	}
}

func TestAssessFreshness(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*assurance.Evidence)
		policy assurance.Policy
		counts bool
	}{
		{"now", func(e *assurance.Evidence) { e.At = now }, assurance.Policy{}, true},
		{"in the future", func(e *assurance.Evidence) { e.At = now.Add(1) }, assurance.Policy{}, false},
		{"no time", func(e *assurance.Evidence) { e.At = time.Time{} }, assurance.Policy{}, false},
		{"just before expiry", func(e *assurance.Evidence) { e.Expires = now.Add(1) }, assurance.Policy{}, true},
		{"at expiry", func(e *assurance.Evidence) { e.Expires = now }, assurance.Policy{}, false},
		{"at the limit", func(e *assurance.Evidence) { e.At = now.Add(-time.Minute) }, assurance.Policy{NotBefore: now.Add(-time.Minute)}, true},
		{"before the limit", func(e *assurance.Evidence) { e.At = now.Add(-time.Minute - 1) }, assurance.Policy{NotBefore: now.Add(-time.Minute)}, false},
		{"limit in the future", func(e *assurance.Evidence) { e.At = now }, assurance.Policy{NotBefore: now.Add(1)}, false},
		{"thirty days old", func(e *assurance.Evidence) { e.At = now.AddDate(0, 0, -30) }, assurance.Policy{}, true},
		{"older than thirty days", func(e *assurance.Evidence) { e.At = now.AddDate(0, 0, -30).Add(-1) }, assurance.Policy{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := with(password(), tt.change)
			want := assurance.Result{AMR: []string{}}
			if tt.counts {
				want = assurance.Result{Level: assurance.AAL1, AMR: []string{"pwd"}, AuthTime: e.At}
			}
			if diff := cmp.Diff(want, assurance.Assess(list(e), now, tt.policy)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// RFC 9470 §4: max_age is about all that is claimed, so the oldest part counts.
func TestAssessAuthTime(t *testing.T) {
	t.Parallel()
	at := func(e assurance.Evidence, ago time.Duration) assurance.Evidence {
		return with(e, func(e *assurance.Evidence) { e.At = now.Add(-ago) })
	}
	tests := []struct {
		name     string
		evidence []assurance.Evidence
		want     time.Time
	}{
		{"none", nil, time.Time{}},
		{"the oldest", list(at(password(), time.Hour), at(totp(), time.Minute)), now.Add(-time.Hour)},
		{"whatever the order", list(at(totp(), time.Minute), at(password(), time.Hour)), now.Add(-time.Hour)},
		{
			"nothing is said of it, so its age is no matter",
			list(at(totp(), time.Minute), at(local("palmistry", "x", assurance.Knowledge), time.Hour)),
			now.Add(-time.Minute),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := assurance.Assess(tt.evidence, now, assurance.Policy{}).AuthTime; !got.Equal(tt.want) {
				t.Errorf("AuthTime = %v, want %v", got, tt.want)
			}
		})
	}
}
