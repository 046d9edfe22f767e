package devicekey

import (
	"encoding/json"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/appattest"
)

type useConfig struct {
	Attested string `yaml:"attested,optional" enum:"none,preferred,required" doc:"Whether the phone's maker had to vouch for the key when it was bound. preferred: attested keys prove more; none: all prove the same, the default."`
}

func readUse(cfg flowdefs.Config) (useConfig, error) {
	c := useConfig{Attested: none}
	if err := cfg.Decode(&c); err != nil {
		return c, err
	}
	return c, checkMode("attested", c.Attested)
}

// ceilings are the most that a signature proves: of a key that is attested, and of any other.
func (u Use) ceilings(mode string) []assurance.Ceiling {
	plain := assurance.Ceiling{
		Method:          assurance.DeviceKey,
		Categories:      []assurance.Category{assurance.Possession},
		ReplayResistant: true,
		UserPresent:     true,
		Unlock:          u.Unlock,
	}
	attested := plain
	attested.PhishingResistant, attested.HardwareBound, attested.SoftwareBound, attested.Attested = true, true, true, true
	if u.Biometric {
		attested.Categories = []assurance.Category{assurance.Possession, assurance.Inherence}
		attested.UserVerified, attested.Unlock = true, assurance.UnlockBiometric
	}
	switch mode {
	case required:
		return []assurance.Ceiling{attested}
	case preferred:
		return []assurance.Ceiling{attested, plain}
	}
	return []assurance.Ceiling{plain}
}

// attested checks what a key was bound with, and returns the counter of the
// assertion, if there has to be one. Who has not the key does not get here.
func (s *use) attested(answer signature, d account.DeviceData) (counter uint32, err error) {
	if s.mode == required && !d.Attested {
		return 0, notAttested
	}
	if d.AppAttest == nil {
		return 0, nil
	}
	if s.by.Apple == nil {
		return 0, fmt.Errorf("%w: the key was bound with App Attest, and no iPhone can attest any more", flows.ErrUnavailable)
	}
	return s.by.assertion(answer.Assertion, appattest.Key{Point: d.AppAttest.Key, App: d.App}, answer.JWS)
}

// used notes the use, unless the authenticator was revoked while it was being
// verified. A counter has to rise from what is stored at this instant; the same
// request may come again after a crash.
func used(v *flows.Visit, counter uint32) func(*account.Authenticator) error {
	return func(a *account.Authenticator) error {
		if a.Status != account.Active {
			return errRevoked
		}
		a.LastUsed = v.Now.UTC()
		var d account.DeviceData
		if err := json.Unmarshal(a.Data, &d); err != nil || d.AppAttest == nil {
			return err
		}
		if last := d.AppAttest; counter <= last.Counter && (counter < last.Counter || last.Owner != v.Owner()) {
			return counted
		}
		d.AppAttest.Counter, d.AppAttest.Owner = counter, v.Owner()
		var err error
		a.Data, err = json.Marshal(d)
		return err
	}
}

// evidence is what the signature proves. An attested app is ours, and answers
// nobody but the server that it was built for: no other site can make it sign.
func (s *use) evidence(a account.Authenticator, d account.DeviceData) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	e := assurance.Evidence{
		Method:          assurance.DeviceKey,
		Authenticator:   a.ID,
		Device:          a.Key, // all that one phone holds is one possession
		Categories:      []assurance.Category{assurance.Possession},
		ReplayResistant: true,
		UserPresent:     true,
		Unlock:          s.kind.Unlock,
		Binding:         binding,
		Cap:             assurance.AAL3,
	}
	if s.mode == none || !d.Attested {
		return e
	}
	e.Attested, e.PhishingResistant = true, true
	e.HardwareBound, e.SoftwareBound = d.Storage != account.StorageSoftware, d.Storage == account.StorageSoftware
	if s.kind.Biometric && d.Biometric {
		e.Categories = []assurance.Category{assurance.Possession, assurance.Inherence}
		e.UserVerified, e.Unlock = true, assurance.UnlockBiometric
	}
	if d.Platform == account.PlatformIOS { // of the key that signs, Apple itself says nothing (SP 800-63B-4 §2.3.2)
		e.Cap = assurance.AAL2
	}
	return e
}
