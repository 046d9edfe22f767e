// Package deviceenrolment is the step "device_enrolment": it binds a phone's new key to the account.
package deviceenrolment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/devicejws"
)

const doc = `Binds a new device key to the account.

The app makes a P-256 key that the phone opens by biometrics only, and signs the
challenge with it. The run must have a DPoP key, and somebody must have proved to
be there: a run without either fails.

	prompt  DEVICE_ENROLMENT_REQUIRED
	        {"challenge", "audience", "flow", "step", "algorithms": ["ES256"], "expiresAt"}
	answer  {"jws": "<compact JWS>", "name": "Jane's phone"}

	header  {"typ": "devbind+jwt", "alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x", "y"}}
	payload {"aud": audience, "nonce": challenge, "flow", "step",
	         "jkt": RFC 7638 thumbprint of the run's DPoP key, "iat", "exp": at most iat + 60}

The name is optional, up to 64 characters. A challenge is good for two minutes
and one answer. The key's thumbprint becomes the authenticator's id; a key that
any account has or had is refused. The authenticator belongs to the run's DPoP
key, and the level that the run has now caps it for ever (SP 800-63B-4 §4.1.2).

Enrolling proves nothing in this run. No attestation is asked for, and none is
claimed. The step takes no configuration and has no exits.
`

// ErrNoKey reports a run on which nothing can be bound: without a DPoP key or without a subject.
var ErrNoKey = errors.New("deviceenrolment: the run has no DPoP key or no subject")

// Authenticators keeps the devices of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
}

// Type returns the step type. The audience is Stile's issuer URL.
func Type(as Authenticators, audience string) flows.StepType {
	return flows.StepType{
		Name:   "device_enrolment",
		Doc:    doc,
		Code:   "DEVICE_ENROLMENT_REQUIRED",
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Enrols: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			if err := cfg.Decode(&struct{}{}); err != nil {
				return nil, err
			}
			if audience == "" {
				return nil, errors.New("deviceenrolment: no audience")
			}
			return &step{as, audience}, nil
		},
	}
}

type answer struct {
	JWS  string `json:"jws" minLength:"1" maxLength:"8192"`
	Name string `json:"name,omitempty" maxLength:"64"`
}

type prompt struct {
	Challenge  string    `json:"challenge" doc:"What is to be signed: the nonce of the payload."`
	Audience   string    `json:"audience" doc:"aud of the payload."`
	Flow       string    `json:"flow" doc:"flow of the payload."`
	Step       string    `json:"step" doc:"step of the payload."`
	Algorithms []string  `json:"algorithms" doc:"Those that the key may have."`
	ExpiresAt  time.Time `json:"expiresAt" doc:"How long the challenge is good."`
}

type step struct {
	accounts Authenticators
	audience string
}

func bindable(v *flows.Visit) error {
	if v.Key == "" || v.Subject == "" {
		return ErrNoKey
	}
	return nil
}

// Enter asks for a signature over a fresh challenge.
func (s *step) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	p, err := s.challenge(v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(p), nil
}

// challenge makes and keeps a challenge; the one before is void.
func (s *step) challenge(v *flows.Visit) (flows.Prompt, error) {
	if err := bindable(v); err != nil {
		return flows.Prompt{}, err
	}
	c := devicejws.NewChallenge(v.Now)
	if err := v.Keep(c); err != nil {
		return flows.Prompt{}, err
	}
	return flows.Prompt{
		Data: prompt{c.Nonce, s.audience, v.RunID, v.StepID, []string{"ES256"}, c.Expires},
	}, nil
}

// refuse asks for a signature over a fresh challenge: the one before is spent.
func (s *step) refuse(v *flows.Visit, reason string) (flows.Outcome, error) {
	again, err := s.challenge(v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Reject(reason, &again), nil
}

// Answer binds the key.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if a.JWS == "" || account.CheckName(a.Name) != nil {
		return flows.Outcome{}, fmt.Errorf("%w: jws or name", flows.ErrMalformed)
	}
	if err := bindable(v); err != nil {
		return flows.Outcome{}, err
	}
	var c devicejws.Challenge
	if err := v.Kept(&c); err != nil {
		return flows.Outcome{}, fmt.Errorf("deviceenrolment: challenge: %w", err)
	}
	if !v.Now.Before(c.Expires) {
		return s.Enter(ctx, v)
	}
	want := devicejws.Want{Audience: s.audience, Nonce: c.Nonce, Flow: v.RunID, Step: v.StepID, Now: v.Now}
	key, err := devicejws.OpenBinding(a.JWS, v.Key, want)
	var refused devicejws.Refusal
	if errors.As(err, &refused) {
		return s.refuse(v, string(refused))
	}
	if err != nil {
		return flows.Outcome{}, err
	}
	// One challenge binds one key; this request may come again.
	if err := v.Once(ctx, "bind/"+c.Nonce, devicejws.ChallengeLife, false); err != nil {
		return flows.Outcome{}, err
	}
	err = s.bind(ctx, v, key, a.Name)
	if errors.Is(err, account.ErrExists) {
		return s.refuse(v, "taken")
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("binding: %w", err)
	}
	return flows.Enrolled(key.ID()), nil
}

// bind adds the authenticator, or finds that this very request has done so
// before. [account.ErrExists] if the key is or was anybody else's.
func (s *step) bind(ctx context.Context, v *flows.Visit, key devicejws.Key, name string) error {
	jwk, err := key.MarshalJSON()
	if err != nil {
		return err
	}
	data, err := json.Marshal(account.DeviceData{JWK: jwk, Attested: false})
	if err != nil {
		return err
	}
	err = s.accounts.AddAuthenticator(ctx, account.Authenticator{
		ID: key.ID(), Subject: v.Subject, Type: account.TypeDevice, Name: name, Status: account.Pending,
		Binding: v.Level.String(), Key: v.Key, Data: data, Created: v.Now.UTC(),
	})
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	mine, err := s.accounts.Authenticators(ctx, v.Subject)
	if err != nil {
		return err
	}
	for _, a := range mine {
		if a.ID == key.ID() && a.Type == account.TypeDevice && a.Key == v.Key && a.Status != account.Disabled {
			return nil
		}
	}
	return account.ErrExists
}
