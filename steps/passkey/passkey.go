// Package passkey is the step "passkey": an assertion of a WebAuthn credential.
package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/webauthn"
)

const doc = `Asks for a passkey: an assertion of a WebAuthn credential.

Who is named already (by a session, a name, or a proof) is asked for a passkey of
that account. If nobody is, the person picks any passkey of this site, and the
passkey tells whose it is.

	prompt  PASSKEY_REQUIRED, PublicKeyCredentialRequestOptionsJSON:
	        {"challenge", "timeout", "rpId", "allowCredentials", "userVerification"}
	answer  {"credential": AuthenticationResponseJSON}

The prompt is what parseRequestOptionsFromJSON of browsers and the credential
managers of Android and iOS take, and the answer is what they give. A challenge is
good for five minutes, one answer, this step and this run. Origins and rpId come
from the configuration of the server.

Before the first proof the list is one for every name: a name without passkeys, or
that nobody has, gets credentials made from a keyed hash of the name, and the same
work and answer as for a wrong signature.

	with  user_verification  required (default), preferred or discouraged
	      counter            device_bound (default): a signature counter that does not
	                         grow is refused where the key cannot leave its device;
	                         always: of every passkey that counts

With user_verification: required it proves two factors, possession and what
unlocks the passkey, else possession alone: what a person was not asked for does
not count. It is resistant to phishing and replay, with the person present. It is
bound to hardware only if that was attested at enrolment and the key cannot be
backed up. It has no exits.
`

// Authenticators keeps the passkeys of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Type returns the step type. The party is who credentials are made for.
func Type(as Authenticators, party webauthn.Party) flows.StepType {
	return flows.StepType{
		Name:          "passkey",
		Doc:           doc,
		Code:          "PASSKEY_REQUIRED",
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Evidence:      []assurance.Ceiling{ceiling(true)},
		Ceilings:      ceilings,
		Authenticator: account.TypePasskey,
		Discovers:     true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c, err := read(cfg)
			if err != nil {
				return nil, err
			}
			if err := party.Check(); err != nil {
				return nil, err
			}
			decoy, err := newDecoy()
			if err != nil {
				return nil, err
			}
			return &step{c, as, party, decoy}, nil
		},
	}
}

type config struct {
	Verification string `yaml:"user_verification,optional" enum:"required,preferred,discouraged" doc:"Whether the authenticator has to verify the person, by PIN or biometrics; default required."`
	Counter      string `yaml:"counter,optional" enum:"device_bound,always" doc:"Of which passkeys a signature counter that does not grow is refused; default device_bound."`
}

const (
	deviceBound = "device_bound"
	always      = "always"
)

func read(cfg flowdefs.Config) (config, error) {
	c := config{Verification: webauthn.Required, Counter: deviceBound}
	if err := cfg.Decode(&c); err != nil {
		return c, err
	}
	return c, errors.Join(
		webauthn.OneOf("user_verification", c.Verification, webauthn.Required, webauthn.Preferred, webauthn.Discouraged),
		webauthn.OneOf("counter", c.Counter, deviceBound, always),
	)
}

func (c config) verified() bool { return c.Verification == webauthn.Required }

// ceilings narrows what a step can prove to what it asks for.
func ceilings(cfg flowdefs.Config, _ map[string]*flowdefs.Provider) []assurance.Ceiling {
	c, err := read(cfg)
	if err != nil {
		return nil
	}
	return []assurance.Ceiling{ceiling(c.verified())}
}

func ceiling(verified bool) assurance.Ceiling {
	return assurance.Ceiling{
		Method: assurance.Passkey, Categories: categories(verified), PhishingResistant: true, ReplayResistant: true,
		HardwareBound: true, Attested: true, UserPresent: true, UserVerified: verified,
	}
}

// categories: a PIN or a finger unlocked the passkey, and nothing tells which.
// Inherence counts only together with this very authenticator, knowledge would
// count with others.
func categories(verified bool) []assurance.Category {
	if verified {
		return []assurance.Category{assurance.Possession, assurance.Inherence}
	}
	return []assurance.Category{assurance.Possession}
}

type answer struct {
	Credential map[string]json.RawMessage `json:"credential" doc:"AuthenticationResponseJSON: what toJSON() of the credential gives."`
}

type prompt struct {
	Challenge        string                `json:"challenge" doc:"What is to be signed, in base64url."`
	Timeout          int64                 `json:"timeout" doc:"How long the challenge is good, in milliseconds."`
	RPID             string                `json:"rpId" doc:"Domain that the credentials are for."`
	AllowCredentials []webauthn.Descriptor `json:"allowCredentials" doc:"Those that may answer; none: any of this domain."`
	UserVerification string                `json:"userVerification" doc:"required, preferred or discouraged."`
}

type step struct {
	config
	accounts Authenticators
	party    webauthn.Party
	decoy    []byte // the key that unknown credentials are measured against
}

// Enter asks for an assertion over a fresh challenge.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	p, err := s.challenge(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(p), nil
}

// challenge makes and keeps a challenge; the one before is void.
func (s *step) challenge(ctx context.Context, v *flows.Visit) (flows.Prompt, error) {
	allowed, err := s.allowed(ctx, v)
	if err != nil {
		return flows.Prompt{}, err
	}
	c := webauthn.NewChallenge(v.Now)
	if err := v.Keep(c); err != nil {
		return flows.Prompt{}, err
	}
	return flows.Prompt{Data: prompt{
		c.Value, webauthn.ChallengeLife.Milliseconds(), s.party.ID, allowed, s.Verification,
	}}, nil
}

// refuse asks for an assertion over a fresh challenge: the one before is spent.
func (s *step) refuse(ctx context.Context, v *flows.Visit, reason webauthn.Refusal) (flows.Outcome, error) {
	again, err := s.challenge(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Reject(string(reason), &again), nil
}

// Answer verifies the assertion.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	credential, err := json.Marshal(a.Credential)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: credential", flows.ErrMalformed)
	}
	var c webauthn.Challenge
	if err := v.Kept(&c); err != nil {
		return flows.Outcome{}, fmt.Errorf("passkey: challenge: %w", err)
	}
	if !v.Now.Before(c.Expires) {
		return s.Enter(ctx, v)
	}
	want := webauthn.Want{Party: s.party, Challenge: c.Value, Verified: s.verified()}
	proof, err := s.verify(ctx, v, credential, want)
	var refused webauthn.Refusal
	if errors.As(err, &refused) {
		return s.refuse(ctx, v, refused)
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("passkey: %w", err)
	}
	return flows.Pass(proof), nil
}
