package passkeyenrolment_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/webauthn"
	"github.com/stile-auth/stile/steps/webauthntest"
)

// Only a maker that the metadata know makes a passkey attested, and only its word
// about the protection of keys makes one of hardware.
func TestTrusted(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	for name, c := range map[string]struct {
		protection, with   string
		attested, hardware bool
	}{
		"hardware":             {"hardware", "{ attestation: trusted }", true, true},
		"a secure element":     {"secure_element", "{ attestation: trusted, aaguids: [" + model + "] }", true, true},
		"software":             {"software", "{ attestation: trusted }", true, false},
		"nobody asked for it":  {"hardware", "{}", false, false},
		"asked for in several": {"tee", "{ attestation: trusted, algorithms: [ES256, RS256] }", true, true},
	} {
		r, soft := newRepository(t), webauthntest.New(origin)
		soft.Maker, soft.Model = m, modelID
		out := enrol(t, newStep(t, r, metadata(t, m, c.protection, "FIDO_CERTIFIED"), c.with), soft)
		if out.EnrolledID() == "" {
			reason, _ := out.Rejected()
			t.Errorf("%s: %s", name, reason)
			continue
		}
		all, err := r.Authenticators(t.Context(), jane)
		var d account.PasskeyData
		if err != nil || json.Unmarshal(all[0].Data, &d) != nil || d.Attested != c.attested || d.Hardware != c.hardware {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestNotTrusted(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	other := "11020304-0506-0708-090a-0b0c0d0e0f10"
	maker := func(a *webauthntest.Authenticator) { a.Maker, a.Model = m, modelID }
	synced := func(a *webauthntest.Authenticator) { maker(a); a.Flags |= webauthntest.Eligible }
	for name, c := range map[string]struct {
		soft   func(*webauthntest.Authenticator)
		draft  func(*webauthntest.Draft)
		status string
		with   string
		want   webauthn.Refusal
	}{
		"nobody vouches":                 {func(a *webauthntest.Authenticator) { a.Model = modelID }, nil, "", "", webauthn.NotAttested},
		"it vouches for itself":          {func(a *webauthntest.Authenticator) { a.Model = modelID }, func(d *webauthntest.Draft) { d.Format = "packed" }, "", "", webauthn.NotAttested},
		"a maker of nowhere":             {func(a *webauthntest.Authenticator) { a.Maker, a.Model = newMaker(t), modelID }, nil, "", "", webauthn.NotAttested},
		"another model":                  {func(a *webauthntest.Authenticator) { a.Maker, a.Model = m, [16]byte{9} }, nil, "", "", webauthn.NotAttested},
		"a wrong signature":              {maker, func(d *webauthntest.Draft) { d.Damage = true }, "", "", webauthn.NotAttested},
		"keys of it are known":           {maker, nil, "ATTESTATION_KEY_COMPROMISE", "", webauthn.NotAttested},
		"it cannot be backed up, and is": {synced, nil, "", "", webauthn.NotAttested},
		"a model not on the list":        {maker, nil, "", "{ attestation: trusted, aaguids: [" + other + "] }", webauthn.WrongModel},
	} {
		soft := webauthntest.New(origin)
		c.soft(soft)
		if c.status == "" {
			c.status = "FIDO_CERTIFIED"
		}
		if c.with == "" {
			c.with = "{ attestation: trusted }"
		}
		var drafts []func(*webauthntest.Draft)
		if c.draft != nil {
			drafts = append(drafts, c.draft)
		}
		t.Log(name)
		refused(t, enrol(t, newStep(t, newRepository(t), metadata(t, m, "hardware", c.status), c.with), soft, drafts...), c.want)
	}
}

// Without metadata nobody is trusted.
func TestNoMetadata(t *testing.T) {
	t.Parallel()
	soft := webauthntest.New(origin)
	soft.Maker, soft.Model = newMaker(t), modelID
	refused(t, enrol(t, newStep(t, newRepository(t), party, "{ attestation: trusted }"), soft), webauthn.NotAttested)
}

func TestConfigurationThatCannotBe(t *testing.T) {
	t.Parallel()
	for with, want := range map[string]string{
		"{ algorithms: [] }":                           "algorithms is empty",
		"{ algorithms: [ES384] }":                      `"ES384" is not one of`,
		"{ aaguids: [" + model + "] }":                 "aaguids needs attestation: trusted",
		"{ attestation: trusted, aaguids: [yubikey] }": "is no AAGUID",
		"{ attestation: direct }":                      "attestation",
		"{ user_verification: always }":                "user_verification",
		"{ resident_key: never }":                      "resident_key",
		"{ attachment: bluetooth }":                    "attachment",
	} {
		if _, err := configured(t, newRepository(t), party, with); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", with, err)
		}
	}
	if _, err := configured(t, newRepository(t), webauthn.Party{}, "{}"); err == nil {
		t.Error("a step without a relying party was made")
	}
}
