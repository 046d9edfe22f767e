package assurance_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stile-auth/stile/flows/assurance"
)

func deviceCeiling() assurance.Ceiling {
	return assurance.Ceiling{
		Method:          assurance.DeviceKey,
		Categories:      []assurance.Category{assurance.Possession},
		ReplayResistant: true,
		UserPresent:     true,
	}
}

func TestCeilingAllows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*assurance.Evidence)
		want   error
	}{
		{"just that", func(*assurance.Evidence) {}, nil},
		{"weaker", func(e *assurance.Evidence) {
			e.ReplayResistant, e.UserPresent, e.Categories = false, false, nil
			e.Exportable, e.Restricted, e.LowEntropy = true, true, true
			e.Binding, e.Cap = assurance.None, assurance.None
		}, nil},
		{"another method", func(e *assurance.Evidence) { e.Method = assurance.TOTP }, assurance.ErrAboveCeiling},
		{"another category", func(e *assurance.Evidence) { e.Categories = append(e.Categories, assurance.Inherence) }, assurance.ErrAboveCeiling},
		{"phishing-resistant", func(e *assurance.Evidence) { e.PhishingResistant = true }, assurance.ErrAboveCeiling},
		{"hardware-bound", func(e *assurance.Evidence) { e.HardwareBound = true }, assurance.ErrAboveCeiling},
		{"software-bound", func(e *assurance.Evidence) { e.SoftwareBound = true }, assurance.ErrAboveCeiling},
		{"attested", func(e *assurance.Evidence) { e.Attested = true }, assurance.ErrAboveCeiling},
		{"user verified", func(e *assurance.Evidence) { e.UserVerified = true }, assurance.ErrAboveCeiling},
		{"bound off the scale", func(e *assurance.Evidence) { e.Binding = assurance.AAL3 + 1 }, assurance.ErrAboveCeiling},
		{"unlocked by a PIN", func(e *assurance.Evidence) { e.Unlock = assurance.UnlockPIN }, assurance.ErrAboveCeiling},
		{"granted", func(e *assurance.Evidence) { e.Mapped = []string{"hwk"} }, assurance.ErrAboveCeiling},
		{"capped off the scale", func(e *assurance.Evidence) { e.Cap = assurance.AAL3 + 1 }, assurance.ErrAboveCeiling},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := deviceCeiling().Allows(with(deviceKey(), tt.change)); !errors.Is(err, tt.want) {
				t.Errorf("err = %v, want %v", err, tt.want)
			}
		})
	}
}

// Each remaining axis by itself: a ceiling without it refuses it.
func TestCeilingRefusesReplayResistanceAndPresence(t *testing.T) {
	t.Parallel()
	c := deviceCeiling()
	c.ReplayResistant = false
	if err := c.Allows(deviceKey()); !errors.Is(err, assurance.ErrAboveCeiling) {
		t.Errorf("replay-resistant: err = %v", err)
	}
	c = deviceCeiling()
	c.UserPresent = false
	if err := c.Allows(deviceKey()); !errors.Is(err, assurance.ErrAboveCeiling) {
		t.Errorf("user present: err = %v", err)
	}
}

func TestCheckCeilings(t *testing.T) {
	t.Parallel()
	otp := assurance.Ceiling{Method: assurance.TOTP, Categories: []assurance.Category{assurance.Possession}, PhishingResistant: true}
	if err := assurance.CheckCeilings(nil, deviceKey()); !errors.Is(err, assurance.ErrAboveCeiling) {
		t.Errorf("no ceiling: err = %v", err)
	}
	if err := assurance.CheckCeilings([]assurance.Ceiling{otp, deviceCeiling()}, deviceKey()); err != nil {
		t.Errorf("the second allows it: err = %v", err)
	}
	// Two ceilings do not add up: the key may not borrow the other's property.
	e := with(deviceKey(), func(e *assurance.Evidence) { e.PhishingResistant = true })
	if err := assurance.CheckCeilings([]assurance.Ceiling{otp, deviceCeiling()}, e); !errors.Is(err, assurance.ErrAboveCeiling) {
		t.Errorf("between two ceilings: err = %v", err)
	}
}

// Highest is within its ceiling, and nothing within the ceiling beats it.
func TestHighest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvidence(t)
		c := assurance.Ceiling{
			Method: e.Method, Categories: slices.Clone(e.Categories), PhishingResistant: e.PhishingResistant,
			ReplayResistant: e.ReplayResistant, HardwareBound: e.HardwareBound, SoftwareBound: e.SoftwareBound,
			Attested: e.Attested, UserPresent: e.UserPresent, UserVerified: e.UserVerified,
		}
		h := assurance.Highest(c, e.Binding, e.Cap, now)
		h.Authenticator, h.Device = e.Authenticator, e.Device
		if err := c.Allows(h); err != nil {
			t.Fatalf("Highest is above its ceiling: %v", err)
		}
		if err := c.Allows(e); err != nil {
			t.Fatalf("the ceiling of evidence refuses it: %v", err)
		}
		others := draw(t, 4)
		if assess(append(slices.Clone(others), h)).Level < assess(append(slices.Clone(others), e)).Level {
			t.Fatalf("%+v beats %+v", e, h)
		}
	})
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for i, name := range assurance.Levels() {
		l, err := assurance.ParseLevel(name)
		if err != nil || l != assurance.Level(i+1) || l.String() != name {
			t.Errorf("ParseLevel(%q) = %v, %v", name, l, err)
		}
	}
	for _, name := range []string{"", "none", "AAL2", "aal4"} {
		if l, err := assurance.ParseLevel(name); !errors.Is(err, assurance.ErrUnknownLevel) || l != assurance.None {
			t.Errorf("ParseLevel(%q) = %v, %v", name, l, err)
		}
	}
	for _, l := range []assurance.Level{assurance.None, -1, assurance.AAL3 + 1} {
		if l.String() != "none" {
			t.Errorf("Level(%d) = %q", int(l), l)
		}
	}
}
