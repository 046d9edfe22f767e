// Package totpenrolment is the step "totp_enrolment": it binds an authenticator app to the account.
package totpenrolment

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"net/url"
	"slices"
	"strings"

	"github.com/pquerna/otp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Binds an authenticator app to the account (RFC 6238).

The app reads the seed from the QR code, or from the otpauth URI on the same phone,
and is bound when it has shown a first code. Somebody must have proved to be there:
a run in which nobody has fails.

	prompt  TOTP_ENROLMENT_REQUIRED
	        {"uri": "otpauth://totp/...", "qrCode": "data:image/png;base64,...",
	         "secret": "<seed, base32>", "digits": 6, "period": 30}
	answer  {"code": "123456", "name": "Jane's app"}

	with    issuer:    what the app shows beside the login; default: Stile's host
	        algorithm: SHA1 (default), SHA256 or SHA512; many apps know SHA1 only
	        digits:    6 to 8; default 6

	exits   full: the account has five such authenticators

uri, qrCode and secret are the secret that this step is there to hand over: they are
new for each visit, shown until the step is left, and kept sealed. The name is
optional, up to 64 characters. A wrong code leaves the seed as it is. The code that
completes the step is spent: it is accepted nowhere else.

The level that the run has now caps the authenticator for ever (SP 800-63B-4 §4.1.2).
Enrolling proves nothing in this run.
`

// ErrNobody reports a run in which nobody has proved to be there.
var ErrNobody = errors.New("totpenrolment: the run has no subject")

const (
	period = 30
	most   = 5 // a guess is tried on each of them
	pixels = 384
	full   = "full"
)

// Accounts finds accounts. Safe for concurrent use.
type Accounts interface {
	// Account returns the account of that subject; [account.ErrNotFound].
	Account(ctx context.Context, subject string) (account.Account, error)
}

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Config is what the step type needs. Without accounts its steps are unavailable.
type Config struct {
	Accounts       Accounts
	Authenticators Authenticators
	Sealer         account.Sealer // seals the seeds
	Issuer         string         // Stile's issuer URL
}

// Type returns the step type.
func Type(deps Config) flows.StepType {
	return flows.StepType{
		Name:   "totp_enrolment",
		Doc:    doc,
		Code:   "TOTP_ENROLMENT_REQUIRED",
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Exits:  []string{full},
		Enrols: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Issuer: hostOf(deps.Issuer), Algorithm: "SHA1", Digits: 6}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := c.check(); err != nil {
				return nil, err
			}
			return &step{deps, c}, nil
		},
	}
}

func hostOf(issuer string) string {
	if u, err := url.Parse(issuer); err == nil && u.Hostname() != "" && !strings.Contains(u.Hostname(), ":") {
		return u.Hostname()
	}
	return "Stile"
}

type config struct {
	Issuer    string `yaml:"issuer,optional" doc:"What the app shows beside the login; default: the host of Stile's address."`
	Algorithm string `yaml:"algorithm,optional" enum:"SHA1,SHA256,SHA512" doc:"Hash of the codes; default SHA1."`
	Digits    int    `yaml:"digits,optional" minimum:"6" maximum:"8" doc:"Digits of a code, 6 to 8; default 6."`
}

func (c config) check() error {
	switch {
	case c.Issuer == "" || len(c.Issuer) > 64 || strings.Contains(c.Issuer, ":"):
		return errors.New("issuer: expected 1 to 64 bytes without a colon")
	case !slices.Contains([]string{"SHA1", "SHA256", "SHA512"}, c.Algorithm):
		return fmt.Errorf("algorithm: %q is none of SHA1, SHA256 and SHA512", c.Algorithm)
	case c.Digits < 6 || c.Digits > 8:
		return fmt.Errorf("digits: %d is not between 6 and 8", c.Digits)
	}
	return nil
}

type answer struct {
	Code string `json:"code" pattern:"^[0-9]{6,8}$"`
	Name string `json:"name,omitempty" maxLength:"64"`
}

type prompt struct {
	URI    string `json:"uri" doc:"What the authenticator app reads; a secret."`
	QRCode string `json:"qrCode" doc:"The same as a picture: a data URI of a PNG."`
	Secret string `json:"secret" doc:"The seed in base32, for apps into which it is typed."`
	Digits int    `json:"digits" doc:"Length of a code."`
	Period int    `json:"period" doc:"Seconds that a code is shown."`
}

type step struct {
	Config
	cfg config
}

// offer is what the run keeps of the authenticator that is not there yet.
type offer struct {
	ID   string `json:"id"`
	Seed []byte `json:"seed"` // sealed for that id and the account
}

func (s *step) data(seed []byte) account.TOTPData {
	return account.TOTPData{Seed: seed, Algorithm: s.cfg.Algorithm, Digits: s.cfg.Digits, Period: period}
}

// Enter shows a new seed; one that was shown before is void.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	all, err := s.Authenticators.Authenticators(ctx, v.Subject)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("totpenrolment: %w", err)
	}
	if count(all) >= most {
		return flows.Exit(full), nil
	}
	if s.Accounts == nil {
		return flows.Outcome{}, fmt.Errorf("%w: no accounts", flows.ErrUnavailable)
	}
	who, err := s.Accounts.Account(ctx, v.Subject)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("totpenrolment: %w", err)
	}
	seed, err := account.NewSeedFor(rand.Reader, s.cfg.Algorithm)
	if err != nil {
		return flows.Outcome{}, err
	}
	o := offer{ID: rand.Text()}
	if o.Seed, err = account.SealSeed(s.Sealer, v.Subject, o.ID, seed); err != nil {
		return flows.Outcome{}, fmt.Errorf("totpenrolment: %w", err)
	}
	p, err := s.shown(seed, who)
	if err != nil {
		return flows.Outcome{}, err
	}
	if err := v.Keep(o); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(flows.Prompt{Data: p}), nil
}

func count(all []account.Authenticator) int {
	n := 0
	for _, a := range all {
		if a.Type == account.TypeTOTP && a.Status == account.Active {
			n++
		}
	}
	return n
}

// shown is the seed as an app reads it.
func (s *step) shown(seed []byte, who account.Account) (prompt, error) {
	label := who.Subject
	if len(who.Logins) > 0 {
		label = strings.ReplaceAll(who.Logins[0], ":", " ") // the border between issuer and login
	}
	uri, err := s.data(nil).URI(seed, s.cfg.Issuer, label)
	if err != nil {
		return prompt{}, err
	}
	key, err := otp.NewKeyFromURL(uri)
	if err != nil { // the error may hold the URI
		return prompt{}, errors.New("totpenrolment: a URI that is none")
	}
	picture, err := key.Image(pixels, pixels)
	if err != nil {
		return prompt{}, errors.New("totpenrolment: no QR code")
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return prompt{}, fmt.Errorf("totpenrolment: %w", err)
	}
	return prompt{
		URI: uri, QRCode: "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()),
		Secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed), Digits: s.cfg.Digits, Period: period,
	}, nil
}

// Answer binds the app if it shows the right code, and spends the code.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if len(a.Code) != s.cfg.Digits || strings.Trim(a.Code, "0123456789") != "" || account.CheckName(a.Name) != nil {
		return flows.Outcome{}, fmt.Errorf("%w: code or name", flows.ErrMalformed)
	}
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	var o offer
	if err := v.Kept(&o); err != nil {
		return flows.Outcome{}, fmt.Errorf("totpenrolment: seed: %w", err)
	}
	seed, err := account.OpenSeed(s.Sealer, v.Subject, o.ID, o.Seed)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("totpenrolment: seed: %w", err)
	}
	at, err := account.VerifyTOTP(s.data(nil), seed, v.Now, a.Code)
	if err == nil {
		err = s.bind(ctx, v, o, at, a.Name)
	}
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUsed):
		return flows.Reject("replayed", nil), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("totpenrolment: %w", err)
	}
	return flows.Enrolled(o.ID), nil
}

// bind adds the authenticator with the code of that time step spent. If a try
// before, of which the run knows nothing, has added it, only the code is spent.
func (s *step) bind(ctx context.Context, v *flows.Visit, o offer, at int64, name string) error {
	d := s.data(o.Seed)
	if err := d.Use(at, v.Owner()); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	err = s.Authenticators.AddAuthenticator(ctx, account.Authenticator{
		ID: o.ID, Subject: v.Subject, Type: account.TypeTOTP, Name: name, Status: account.Pending,
		Binding: v.Level.String(), Data: data, Created: v.Now.UTC(),
	})
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	return s.Authenticators.UpdateAuthenticator(ctx, o.ID, func(a *account.Authenticator) error {
		if a.Subject != v.Subject || a.Type != account.TypeTOTP || a.Status == account.Disabled {
			return account.ErrExists
		}
		var d account.TOTPData
		if err := json.Unmarshal(a.Data, &d); err != nil {
			return fmt.Errorf("data of authenticator %s: %w", a.ID, err)
		}
		if err := d.Use(at, v.Owner()); err != nil {
			return err
		}
		var err error
		a.Data, err = json.Marshal(d)
		return err
	})
}
