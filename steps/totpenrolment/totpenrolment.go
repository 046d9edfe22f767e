// Package totpenrolment is the step "totp_enrolment": it binds an authenticator app to the account.
package totpenrolment

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/onetime"
)

const doc = `Binds an authenticator app to the account (RFC 6238).

The app reads the seed from the QR code, or from the otpauth URI on the same phone,
and is bound when it has shown a first code. Somebody must have proved to be there:
a run in which nobody has fails.

	prompt  TOTP_ENROLMENT_REQUIRED
	        {"uri": "otpauth://totp/...", "qrCode": "data:image/png;base64,...",
	         "qrCodeSvg": "data:image/svg+xml;base64,...", "secret": "<seed, base32>",
	         "digits": 6, "period": 30}
	answer  {"code": "123456", "name": "Jane's app"}

	with    issuer:    what the app shows beside the login; default: Stile's host
	        algorithm: SHA1 (default), SHA256 or SHA512; many apps know SHA1 only
	        digits:    6 to 8; default 6
	        period:    how long a code is shown, 15s to 2m; default 30s, and many apps know no other

	exits   full: the account has five such authenticators

uri, both pictures of it and secret are the secret that this step is there to hand over: they are
new for each visit, shown until the step is left, and kept sealed. The name is
optional, up to 64 characters. A wrong code leaves the seed as it is. The code that
completes the step is spent: it is accepted nowhere else. If it was that of the next
time step, the app's clock is ahead: from then on such codes are good (§6).

The level that the run has now caps the authenticator for ever (SP 800-63B-4 §4.1.2).
Enrolling proves nothing in this run.
`

// Type returns the step type.
func Type(deps onetime.Config) flows.StepType {
	return onetime.EnrolmentType(onetime.Enrolment{
		Name: "totp_enrolment", Doc: doc, Code: "TOTP_ENROLMENT_REQUIRED", Authenticator: account.TypeTOTP,
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		New: func(cfg flowdefs.Config) (onetime.Scheme, error) {
			c := config{Issuer: deps.Host(), Algorithm: "SHA1", Digits: 6, Period: 30 * time.Second}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			return c, c.check()
		},
	}, deps)
}

type config struct {
	Issuer    string        `yaml:"issuer,optional" doc:"What the app shows beside the login; default: the host of Stile's address."`
	Algorithm string        `yaml:"algorithm,optional" enum:"SHA1,SHA256,SHA512" doc:"Hash of the codes; default SHA1."`
	Digits    int           `yaml:"digits,optional" minimum:"6" maximum:"8" doc:"Digits of a code, 6 to 8; default 6."`
	Period    time.Duration `yaml:"period,optional" doc:"How long a code is shown, whole seconds from 15s to 2m; default 30s."`
}

func (c config) check() error {
	switch {
	case !slices.Contains([]string{"SHA1", "SHA256", "SHA512"}, c.Algorithm):
		return fmt.Errorf("algorithm: %q is none of SHA1, SHA256 and SHA512", c.Algorithm)
	case c.Digits < 6 || c.Digits > 8:
		return fmt.Errorf("digits: %d is not between 6 and 8", c.Digits)
	case c.Period < 15*time.Second || c.Period > 2*time.Minute || c.Period%time.Second != 0:
		return fmt.Errorf("period: %s is no number of seconds between 15s and 2m", c.Period)
	}
	return onetime.CheckIssuer(c.Issuer)
}

type answer struct {
	Code string `json:"code" pattern:"^[0-9]{6,8}$"`
	Name string `json:"name,omitempty" maxLength:"64"`
}

type prompt struct {
	URI       string `json:"uri" doc:"What the authenticator app reads; a secret."`
	QRCode    string `json:"qrCode" doc:"The same as a picture: a data URI of a PNG."`
	QRCodeSVG string `json:"qrCodeSvg" doc:"The same picture as a data URI of an SVG."`
	Secret    string `json:"secret" doc:"The seed in base32, for apps into which it is typed."`
	Digits    int    `json:"digits" doc:"Length of a code."`
	Period    int    `json:"period" doc:"Seconds that a code is shown."`
}

// Seed returns a new seed, as long as the hash.
func (c config) Seed() ([]byte, error) { return account.NewSeedFor(rand.Reader, c.Algorithm) }

// URI returns the otpauth URI of a seed.
func (c config) URI(seed []byte, login string) (string, error) {
	return c.data(nil).URI(seed, c.Issuer, login)
}

func (c config) data(sealed []byte) account.TOTPData {
	return account.TOTPData{Seed: sealed, Algorithm: c.Algorithm, Digits: c.Digits, Period: int(c.Period / time.Second)}
}

// Data is that of an authenticator none of whose codes is used.
func (c config) Data(sealed []byte) any { return c.data(sealed) }

// Shown is the prompt's data.
func (c config) Shown(o onetime.Offer) any {
	return prompt{URI: o.URI, QRCode: o.PNG, QRCodeSVG: o.SVG, Secret: o.Secret, Digits: c.Digits, Period: int(c.Period / time.Second)}
}

// Use uses up a code.
func (c config) Use(data json.RawMessage, seed []byte, now time.Time, code, owner string) (any, error) {
	var d account.TOTPData
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return d.First(seed, now, code, owner)
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
