package devicekey

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

// Bind is a step that binds a new key of a phone. All fields but Biometric are required.
type Bind struct {
	Name, Doc, Code string // of the step type and its prompts
	Authenticator   string // type of the authenticators that it binds
	// Biometric: a key is attested only if it opens to biometrics and to nothing else.
	Biometric bool
}

// ErrNoKey reports a run on which nothing can be bound: without a DPoP key or without a subject.
var ErrNoKey = errors.New("devicekey: the run has no DPoP key or no subject")

// Binder adds keys to accounts. Safe for concurrent use.
type Binder interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
}

// Type returns the step type. The audience is Stile's issuer URL.
func (b Bind) Type(as Binder, audience string, by Attestation) flows.StepType {
	return flows.StepType{
		Name:   b.Name,
		Doc:    b.Doc,
		Code:   b.Code,
		Config: flowdefs.SchemaFor[bindingConfig](),
		Prompt: flowdefs.SchemaFor[bindingPrompt](),
		Input:  flowdefs.SchemaFor[binding](),
		Enrols: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := bindingConfig{Attestation: none}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if audience == "" {
				return nil, errNoAudience
			}
			return &bind{b, as, audience, by, c.Attestation}, checkMode("attestation", c.Attestation)
		},
	}
}

type bindingConfig struct {
	Attestation string `yaml:"attestation,optional" enum:"none,preferred,required" doc:"Whether the phone's maker has to vouch for the key. preferred: who can; none: nobody is asked, the default."`
}

type binding struct {
	JWS         string     `json:"jws" minLength:"1" maxLength:"8192"`
	Name        string     `json:"name,omitempty" maxLength:"64"`
	Attestation *statement `json:"attestation,omitempty" doc:"What the phone says of the key, where the prompt asks for it."`
}

type bindingPrompt struct {
	Challenge   string    `json:"challenge" doc:"What is to be signed: the nonce of the payload."`
	Audience    string    `json:"audience" doc:"aud of the payload."`
	Flow        string    `json:"flow" doc:"flow of the payload."`
	Step        string    `json:"step" doc:"step of the payload."`
	Algorithms  []string  `json:"algorithms" doc:"Those that the key may have."`
	ExpiresAt   time.Time `json:"expiresAt" doc:"How long the challenge is good."`
	Attestation *wanted   `json:"attestation,omitempty" doc:"What the phone is to say of the key; absent: nothing."`
}

type bind struct {
	kind     Bind
	accounts Binder
	audience string
	by       Attestation
	mode     string // none, preferred, required
}

func bindable(v *flows.Visit) error {
	if v.Key == "" || v.Subject == "" {
		return ErrNoKey
	}
	return nil
}

// Enter asks for a signature over a fresh challenge.
func (s *bind) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	p, err := s.challenge(v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(p), nil
}

// challenge makes and keeps a challenge; the one before is void.
func (s *bind) challenge(v *flows.Visit) (flows.Prompt, error) {
	if err := bindable(v); err != nil {
		return flows.Prompt{}, err
	}
	if s.mode == required && s.by.none() {
		return flows.Prompt{}, fmt.Errorf("%w: attestation is required, and no app is configured that could attest", flows.ErrUnavailable)
	}
	c := devicejws.NewChallenge(v.Now)
	if err := v.Keep(c); err != nil {
		return flows.Prompt{}, err
	}
	return flows.Prompt{
		Data: bindingPrompt{c.Nonce, s.audience, v.RunID, v.StepID, []string{"ES256"}, c.Expires, s.by.wanted(s.mode, c.Nonce)},
	}, nil
}

// refuse asks for a signature over a fresh challenge: the one before is spent.
func (s *bind) refuse(v *flows.Visit, reason string) (flows.Outcome, error) {
	again, err := s.challenge(v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Reject(reason, &again), nil
}

// Answer binds the key.
func (s *bind) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a binding
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
		return flows.Outcome{}, fmt.Errorf("devicekey: challenge: %w", err)
	}
	if !v.Now.Before(c.Expires) {
		return s.Enter(ctx, v)
	}
	want := devicejws.Want{Audience: s.audience, Nonce: c.Nonce, Flow: v.RunID, Step: v.StepID, Now: v.Now}
	key, err := devicejws.OpenBinding(a.JWS, v.Key, want)
	var data account.DeviceData
	if err == nil {
		data, err = s.attested(v, a, key, c.Nonce)
	}
	if word, refused := refusal(err); refused {
		return s.refuse(v, word)
	}
	if err != nil {
		return flows.Outcome{}, err
	}
	// One challenge binds one key; this request may come again.
	if err := v.Once(ctx, "bind/"+c.Nonce, devicejws.ChallengeLife, false); err != nil {
		return flows.Outcome{}, err
	}
	err = s.add(ctx, v, key, a.Name, data)
	if errors.Is(err, account.ErrExists) {
		return s.refuse(v, "taken")
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("binding: %w", err)
	}
	return flows.Enrolled(key.ID()), nil
}

// attested is what is known of the key. Where nobody asked, nothing is looked at.
func (s *bind) attested(v *flows.Visit, a binding, key devicejws.Key, nonce string) (account.DeviceData, error) {
	switch {
	case s.mode == none, s.mode == preferred && a.Attestation == nil:
		return account.DeviceData{}, nil
	case a.Attestation == nil:
		return account.DeviceData{}, notAttested
	}
	return s.by.verify(*a.Attestation, made{jws: a.JWS, key: key, nonce: nonce, biometric: s.kind.Biometric, owner: v.Owner(), now: v.Now})
}

// add adds the authenticator, or finds that this very request has done so
// before. [account.ErrExists] if the key is or was anybody else's.
func (s *bind) add(ctx context.Context, v *flows.Visit, key devicejws.Key, name string, d account.DeviceData) error {
	var err error
	if d.JWK, err = key.MarshalJSON(); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	err = s.accounts.AddAuthenticator(ctx, account.Authenticator{
		ID: key.ID(), Subject: v.Subject, Type: s.kind.Authenticator, Name: name, Status: account.Pending,
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
		if a.ID == key.ID() && a.Type == s.kind.Authenticator && a.Key == v.Key && a.Status != account.Disabled {
			return nil
		}
	}
	return account.ErrExists
}
