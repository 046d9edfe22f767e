// Package hotpenrolment is the step "hotp_enrolment": it binds an app or a token that counts to the account.
package hotpenrolment

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/onetime"
)

const doc = `Binds an app or a programmable token whose codes are counted (RFC 4226).

It reads the seed from the QR code, or from the otpauth URI on the same phone, and
is bound when it has shown a first code. Tokens that come with a seed are bound by
an administrator: stile users token. Somebody must have proved to be there: a run in
which nobody has fails.

	prompt  HOTP_ENROLMENT_REQUIRED
	        {"uri": "otpauth://hotp/...", "qrCode": "data:image/png;base64,...",
	         "qrCodeSvg": "data:image/svg+xml;base64,...", "secret": "<seed, base32>", "digits": 6}
	answer  {"code": "123456", "name": "Jane's token"}

	with    issuer:  what the app shows beside the login; default: Stile's host
	        digits:  6 to 8; default 6

	exits   full: the account has five such authenticators

uri, both pictures of it and secret are the secret that this step is there to hand
over: they are new for each visit, shown until the step is left, and kept sealed. The
name is optional, up to 64 characters. A wrong code leaves the seed as it is. The code
that completes the step is spent, and so are those before it.

The level that the run has now caps the authenticator for ever (SP 800-63B-4 §4.1.2).
Enrolling proves nothing in this run.
`

// Type returns the step type.
func Type(deps onetime.Config) flows.StepType {
	return onetime.EnrolmentType(onetime.Enrolment{
		Name: "hotp_enrolment", Doc: doc, Code: "HOTP_ENROLMENT_REQUIRED", Authenticator: account.TypeHOTP,
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		New: func(cfg flowdefs.Config) (onetime.Scheme, error) {
			c := config{Issuer: deps.Host(), Digits: 6}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if c.Digits < 6 || c.Digits > 8 {
				return nil, fmt.Errorf("digits: %d is not between 6 and 8", c.Digits)
			}
			return c, onetime.CheckIssuer(c.Issuer)
		},
	}, deps)
}

type config struct {
	Issuer string `yaml:"issuer,optional" doc:"What the app shows beside the login; default: the host of Stile's address."`
	Digits int    `yaml:"digits,optional" minimum:"6" maximum:"8" doc:"Digits of a code, 6 to 8; default 6."`
}

type answer struct {
	Code string `json:"code" pattern:"^[0-9]{6,8}$"`
	Name string `json:"name,omitempty" maxLength:"64"`
}

type prompt struct {
	URI       string `json:"uri" doc:"What the app reads; a secret."`
	QRCode    string `json:"qrCode" doc:"The same as a picture: a data URI of a PNG."`
	QRCodeSVG string `json:"qrCodeSvg" doc:"The same picture as a data URI of an SVG."`
	Secret    string `json:"secret" doc:"The seed in base32, for apps into which it is typed."`
	Digits    int    `json:"digits" doc:"Length of a code."`
}

// Seed returns a new seed.
func (c config) Seed() ([]byte, error) { return account.NewSeed(rand.Reader) }

// URI returns the otpauth URI of a seed.
func (c config) URI(seed []byte, login string) (string, error) {
	return account.HOTPData{Digits: c.Digits}.URI(seed, c.Issuer, login)
}

// Data is that of an authenticator none of whose codes is used.
func (c config) Data(sealed []byte) any { return account.HOTPData{Seed: sealed, Digits: c.Digits} }

// Shown is the prompt's data.
func (c config) Shown(o onetime.Offer) any {
	return prompt{URI: o.URI, QRCode: o.PNG, QRCodeSVG: o.SVG, Secret: o.Secret, Digits: c.Digits}
}

// Use uses up a code.
func (c config) Use(data json.RawMessage, seed []byte, _ time.Time, code, owner string) (any, error) {
	var d account.HOTPData
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return d.Use(seed, account.HOTPCodes{Code: code}, owner)
}

// Read returns what the client answers.
func (c config) Read(in flows.Input) (code, name string, err error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return "", "", err
	}
	if len(a.Code) != c.Digits || strings.Trim(a.Code, "0123456789") != "" {
		return "", "", fmt.Errorf("%w: a code has %d digits", flows.ErrMalformed, c.Digits)
	}
	return a.Code, a.Name, nil
}
