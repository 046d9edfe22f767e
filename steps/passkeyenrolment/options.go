package passkeyenrolment

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/steps/webauthn"
)

const (
	none    = "none"
	trusted = "trusted"
)

type config struct {
	Verification string   `yaml:"user_verification,optional" enum:"required,preferred,discouraged" doc:"Whether the authenticator has to verify the person, by PIN or biometrics; default required."`
	Resident     string   `yaml:"resident_key,optional" enum:"required,preferred,discouraged" doc:"Whether the passkey can be found without a name; default required."`
	Attachment   string   `yaml:"attachment,optional" enum:"platform,cross-platform" doc:"Whether the authenticator is a part of the device; default any."`
	Algorithms   []string `yaml:"algorithms,optional" doc:"Of ES256, EdDSA and RS256, the best first; default all three."`
	Attestation  string   `yaml:"attestation,optional" enum:"none,trusted" doc:"trusted: a maker that the FIDO metadata of the server know has to vouch for the authenticator; default none."`
	AAGUIDs      []string `yaml:"aaguids,optional" doc:"Models that are allowed; default all. Needs attestation: trusted."`
}

// aaguid is the text form of RFC 9562 §4, in small letters.
var aaguid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func read(cfg flowdefs.Config) (config, error) {
	c := config{Verification: webauthn.Required, Resident: webauthn.Required, Attestation: none, Algorithms: []string{"ES256", "EdDSA", "RS256"}}
	if err := cfg.Decode(&c); err != nil {
		return c, err
	}
	return c, c.check()
}

func (c config) check() error {
	err := errors.Join(
		webauthn.OneOf("user_verification", c.Verification, webauthn.Required, webauthn.Preferred, webauthn.Discouraged),
		webauthn.OneOf("resident_key", c.Resident, webauthn.Required, webauthn.Preferred, webauthn.Discouraged),
		webauthn.OneOf("attachment", c.Attachment, "", "platform", "cross-platform"),
		webauthn.OneOf("attestation", c.Attestation, none, trusted),
	)
	if err != nil {
		return err
	}
	if len(c.Algorithms) == 0 {
		return errors.New("passkey_enrolment: algorithms is empty")
	}
	for _, name := range c.Algorithms {
		if cose(name) == 0 {
			return fmt.Errorf("passkey_enrolment: algorithm %q is not one of ES256, EdDSA and RS256", name)
		}
	}
	for _, id := range c.AAGUIDs {
		if !aaguid.MatchString(id) {
			return fmt.Errorf("passkey_enrolment: %q is no AAGUID", id)
		}
	}
	if len(c.AAGUIDs) > 0 && c.Attestation != trusted {
		return errors.New("passkey_enrolment: aaguids needs attestation: trusted, because without it the model is only claimed")
	}
	return nil
}

// cose is the number of an algorithm in the IANA registry "COSE Algorithms", 0 of any other name.
func cose(name string) int {
	return map[string]int{"ES256": -7, "EdDSA": -8, "RS256": -257}[name]
}

func (c config) policy() webauthn.Policy {
	p := webauthn.Policy{Attested: c.Attestation == trusted, Models: slices.Clone(c.AAGUIDs), Resident: c.Resident == webauthn.Required}
	for _, name := range c.Algorithms {
		p.Algorithms = append(p.Algorithms, cose(name))
	}
	return p
}

// prompt is PublicKeyCredentialCreationOptionsJSON (Web Authentication §5.1.9).
type prompt struct {
	RP          party                 `json:"rp" doc:"Who the passkey is for."`
	User        user                  `json:"user" doc:"Whose it is."`
	Challenge   string                `json:"challenge" doc:"What is to be signed, in base64url."`
	Parameters  []parameter           `json:"pubKeyCredParams" doc:"Algorithms that the key may have, the best first."`
	Timeout     int64                 `json:"timeout" doc:"How long the challenge is good, in milliseconds."`
	Exclude     []webauthn.Descriptor `json:"excludeCredentials" doc:"Those that the account has: no second one on the same authenticator."`
	Selection   selection             `json:"authenticatorSelection" doc:"What the authenticator has to be like."`
	Attestation string                `json:"attestation" doc:"none, or direct: with the statement of its maker."`
	Extensions  extensions            `json:"extensions" doc:"What else is asked for."`
}

type party struct {
	ID   string `json:"id" doc:"Domain that the passkey is for."`
	Name string `json:"name" doc:"What people are shown."`
}

type user struct {
	ID          string `json:"id" doc:"The account, in base64url."`
	Name        string `json:"name" doc:"What people are shown."`
	DisplayName string `json:"displayName" doc:"What people are shown."`
}

type parameter struct {
	Type      string `json:"type" doc:"public-key."`
	Algorithm int    `json:"alg" doc:"In the IANA registry COSE Algorithms."`
}

type selection struct {
	Attachment      string `json:"authenticatorAttachment,omitempty" doc:"platform or cross-platform."`
	Resident        string `json:"residentKey" doc:"required, preferred or discouraged."`
	RequireResident bool   `json:"requireResidentKey" doc:"Whether residentKey is required."`
	Verification    string `json:"userVerification" doc:"required, preferred or discouraged."`
}

type extensions struct {
	Properties bool `json:"credProps" doc:"The answer shall tell whether the passkey can be found without a name."`
}

func (s *step) options(subject, name, challenge string, has []webauthn.Descriptor) prompt {
	p := prompt{
		RP: party{s.party.ID, s.party.Name}, User: user{webauthn.Handle(subject), name, name},
		Challenge: challenge, Timeout: webauthn.ChallengeLife.Milliseconds(), Exclude: has,
		Selection:   selection{s.Attachment, s.Resident, s.Resident == webauthn.Required, s.Verification},
		Attestation: none, Extensions: extensions{true},
	}
	if s.Attestation == trusted {
		p.Attestation = "direct"
	}
	for _, name := range s.Algorithms {
		p.Parameters = append(p.Parameters, parameter{"public-key", cose(name)})
	}
	return p
}
