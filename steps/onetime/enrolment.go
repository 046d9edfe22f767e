package onetime

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// ErrNobody reports a run in which nobody has proved to be there.
var ErrNobody = errors.New("onetime: the run has no subject")

const (
	most = 5 // authenticators of one type: a guess is tried on each of them
	full = "full"
)

// Accounts finds accounts. Safe for concurrent use.
type Accounts interface {
	// Account returns the account of that subject; [account.ErrNotFound].
	Account(ctx context.Context, subject string) (account.Account, error)
}

// Binder keeps the authenticators of accounts. Safe for concurrent use.
type Binder interface {
	Authenticators
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
}

// Config is what enrolments need. Without accounts their steps are unavailable.
type Config struct {
	Accounts       Accounts
	Authenticators Binder
	Sealer         account.Sealer // seals the seeds
	Issuer         string         // Stile's issuer URL
}

// Host is what an app shows beside the login unless a definition says otherwise.
func (c Config) Host() string {
	if u, err := url.Parse(c.Issuer); err == nil && u.Hostname() != "" && !strings.Contains(u.Hostname(), ":") {
		return u.Hostname()
	}
	return "Stile"
}

// CheckIssuer says whether apps can show it beside the login.
func CheckIssuer(name string) error {
	if name == "" || len(name) > 64 || strings.Contains(name, ":") {
		return errors.New("issuer: expected 1 to 64 bytes without a colon")
	}
	return nil
}

// Enrolment is one kind of enrolment. All fields are required.
type Enrolment struct {
	Name, Doc, Code       string
	Authenticator         string // its type
	Config, Prompt, Input json.RawMessage
	// New makes the codes of a configured step.
	New func(cfg flowdefs.Config) (Scheme, error)
}

// Scheme is how the codes of a configured enrolment are made.
type Scheme interface {
	// Seed returns a new seed.
	Seed() ([]byte, error)
	// URI returns the otpauth URI of a seed.
	URI(seed []byte, login string) (string, error)
	// Shown is the prompt's data.
	Shown(o Offer) any
	// Data is that of an authenticator none of whose codes is used.
	Data(sealed []byte) any
	// Use uses up a code on an authenticator's data; [account.ErrWrong], [account.ErrUsed].
	Use(data json.RawMessage, seed []byte, now time.Time, code, owner string) (any, error)
	// Read returns what the client answers.
	Read(in flows.Input) (code, name string, err error)
}

// Offer is a seed as apps read it: all of it is a secret.
type Offer struct {
	URI      string
	Secret   string // base32
	PNG, SVG string // the URI as a QR code, each a data URI
}

// EnrolmentType returns the step type.
func EnrolmentType(k Enrolment, deps Config) flows.StepType {
	return flows.StepType{
		Name: k.Name, Doc: k.Doc, Code: k.Code, Config: k.Config, Prompt: k.Prompt, Input: k.Input,
		Exits:  []string{full},
		Enrols: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			scheme, err := k.New(cfg)
			if err != nil {
				return nil, err
			}
			return &enrolment{deps, k, scheme}, nil
		},
	}
}

type enrolment struct {
	Config
	kind   Enrolment
	scheme Scheme
}

// pending is what the run keeps of the authenticator that is not there yet.
type pending struct {
	ID   string `json:"id"`
	Seed []byte `json:"seed"` // sealed for that id and the account
}

// Enter shows a new seed; one that was shown before is void.
func (s *enrolment) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	all, err := s.Authenticators.Authenticators(ctx, v.Subject)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%s: %w", s.kind.Name, err)
	}
	if s.count(all) >= most {
		return flows.Exit(full), nil
	}
	if s.Accounts == nil {
		return flows.Outcome{}, fmt.Errorf("%w: no accounts", flows.ErrUnavailable)
	}
	who, err := s.Accounts.Account(ctx, v.Subject)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%s: %w", s.kind.Name, err)
	}
	seed, err := s.scheme.Seed()
	if err != nil {
		return flows.Outcome{}, err
	}
	p := pending{ID: rand.Text()}
	if p.Seed, err = account.SealSeed(s.Sealer, v.Subject, p.ID, seed); err != nil {
		return flows.Outcome{}, fmt.Errorf("%s: %w", s.kind.Name, err)
	}
	o, err := s.offer(seed, who)
	if err != nil {
		return flows.Outcome{}, err
	}
	if err := v.Keep(p); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(flows.Prompt{Data: s.scheme.Shown(o)}), nil
}

func (s *enrolment) count(all []account.Authenticator) int {
	n := 0
	for _, a := range all {
		if a.Type == s.kind.Authenticator && a.Status == account.Active {
			n++
		}
	}
	return n
}

// offer is the seed as an app reads it.
func (s *enrolment) offer(seed []byte, who account.Account) (Offer, error) {
	label := who.Subject
	if len(who.Logins) > 0 {
		label = strings.ReplaceAll(who.Logins[0], ":", " ") // the border between issuer and login
	}
	uri, err := s.scheme.URI(seed, label)
	if err != nil {
		return Offer{}, err
	}
	code, err := draw(uri)
	if err != nil {
		return Offer{}, err
	}
	return Offer{URI: uri, Secret: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(seed), PNG: code.png, SVG: code.svg}, nil
}

// Answer binds the app if it shows the right code, and spends the code.
func (s *enrolment) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	code, name, err := s.scheme.Read(in)
	if err != nil {
		return flows.Outcome{}, err
	}
	if account.CheckName(name) != nil {
		return flows.Outcome{}, fmt.Errorf("%w: name", flows.ErrMalformed)
	}
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	var p pending
	if err := v.Kept(&p); err != nil {
		return flows.Outcome{}, fmt.Errorf("%s: seed: %w", s.kind.Name, err)
	}
	switch err := s.bind(ctx, v, p, code, name); {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, account.ErrUsed):
		return flows.Reject("replayed", nil), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("%s: %w", s.kind.Name, err)
	}
	return flows.Enrolled(p.ID), nil
}

// bind adds the authenticator with the code spent. If a try before, of which the
// run knows nothing, has added it, only the code is spent.
func (s *enrolment) bind(ctx context.Context, v *flows.Visit, p pending, code, name string) error {
	seed, err := account.OpenSeed(s.Sealer, v.Subject, p.ID, p.Seed)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	fresh, err := json.Marshal(s.scheme.Data(p.Seed))
	if err != nil {
		return err
	}
	use := func(data json.RawMessage) (json.RawMessage, error) {
		used, err := s.scheme.Use(data, seed, v.Now, code, v.Owner())
		if err != nil {
			return nil, err
		}
		return json.Marshal(used)
	}
	data, err := use(fresh)
	if err != nil {
		return err
	}
	err = s.Authenticators.AddAuthenticator(ctx, account.Authenticator{
		ID: p.ID, Subject: v.Subject, Type: s.kind.Authenticator, Name: name, Status: account.Pending,
		Binding: v.Level.String(), Data: data, Created: v.Now.UTC(),
	})
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	return s.Authenticators.UpdateAuthenticator(ctx, p.ID, func(a *account.Authenticator) error {
		if a.Subject != v.Subject || a.Type != s.kind.Authenticator || a.Status == account.Disabled {
			return account.ErrExists
		}
		data, err := use(a.Data)
		if err != nil {
			return err
		}
		a.Data = data
		return nil
	})
}
