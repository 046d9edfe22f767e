// Package passkeyenrolment is the step "passkey_enrolment": it binds a new WebAuthn credential to the account.
package passkeyenrolment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/webauthn"
)

const doc = `Binds a new passkey to the account.

Somebody must have proved to be there: a run without a subject fails.

	prompt  PASSKEY_ENROLMENT_REQUIRED, PublicKeyCredentialCreationOptionsJSON:
	        {"rp", "user", "challenge", "pubKeyCredParams", "timeout", "excludeCredentials",
	         "authenticatorSelection", "attestation", "extensions"}
	answer  {"credential": RegistrationResponseJSON, "name": "My telephone"}

The prompt is what parseCreationOptionsFromJSON of browsers and the credential
managers of Android and iOS take, and the answer is what they give. The name is
optional, up to 64 characters. A challenge is good for five minutes, one answer,
this step and this run. Origins and rp come from the configuration of the server;
user.id is the account's subject.

	with  user_verification  required (default), preferred or discouraged
	      resident_key       required (default): the passkey can be found without a name;
	                         preferred or discouraged
	      attachment         platform or cross-platform; default any
	      algorithms         of ES256, EdDSA and RS256; default all three
	      attestation        none (default), or trusted: a maker that the server's FIDO
	                         metadata know has to vouch for the authenticator
	      aaguids            models that are allowed; needs attestation: trusted, because
	                         without it the model is only claimed

What policy asks for is checked in the answer, whatever was asked of the
authenticator. An attestation statement that nobody asked for has to be right, and
vouches for nothing. A credential that any account has or had is refused. The level
that the run has now caps the passkey for ever (SP 800-63B-4 §4.1.2). With
attestation: trusted and without metadata every answer is refused.

Enrolling proves nothing in this run. The step has no exits.
`

// ErrNoSubject reports a run on which nothing can be bound: nobody has proved to
// be there, or the account's subject is too long for a user handle.
var ErrNoSubject = errors.New("passkeyenrolment: the run has no subject that a passkey can name")

const maxName = 64 // code points

// Authenticators keeps the passkeys of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// AddAuthenticator adds one; [account.ErrExists] if any account has one of that id.
	AddAuthenticator(ctx context.Context, a account.Authenticator) error
}

// Accounts finds accounts; the stores' repositories of accounts do. Safe for concurrent use.
type Accounts interface {
	Account(ctx context.Context, subject string) (account.Account, error)
}

// Type returns the step type. The party is who credentials are made for. Without
// accounts (nil) an authenticator shows the subject instead of the login.
func Type(as Authenticators, accounts Accounts, party webauthn.Party) flows.StepType {
	return flows.StepType{
		Name:          "passkey_enrolment",
		Doc:           doc,
		Code:          "PASSKEY_ENROLMENT_REQUIRED",
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Authenticator: account.TypePasskey,
		Enrols:        true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c, err := read(cfg)
			if err != nil {
				return nil, err
			}
			if err := party.Check(); err != nil {
				return nil, err
			}
			return &step{c, as, accounts, party}, nil
		},
	}
}

type answer struct {
	Credential map[string]json.RawMessage `json:"credential" doc:"RegistrationResponseJSON: what toJSON() of the credential gives."`
	Name       string                     `json:"name,omitempty" maxLength:"64" doc:"What its owner calls it."`
}

type step struct {
	config
	authenticators Authenticators
	accounts       Accounts
	party          webauthn.Party
}

// Enter asks for a credential over a fresh challenge.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	p, err := s.challenge(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(p), nil
}

// challenge makes and keeps a challenge; the one before is void.
func (s *step) challenge(ctx context.Context, v *flows.Visit) (flows.Prompt, error) {
	if v.Subject == "" || len(v.Subject) > webauthn.MaxHandle {
		return flows.Prompt{}, ErrNoSubject
	}
	has, err := s.has(ctx, v)
	if err != nil {
		return flows.Prompt{}, err
	}
	name, err := s.login(ctx, v.Subject)
	if err != nil {
		return flows.Prompt{}, err
	}
	c := webauthn.NewChallenge(v.Now)
	if err := v.Keep(c); err != nil {
		return flows.Prompt{}, err
	}
	return flows.Prompt{Data: s.options(v.Subject, name, c.Value, has)}, nil
}

// login is what an authenticator shows of the account.
func (s *step) login(ctx context.Context, subject string) (string, error) {
	if s.accounts == nil {
		return subject, nil
	}
	a, err := s.accounts.Account(ctx, subject)
	if err != nil {
		return "", fmt.Errorf("passkeyenrolment: %w", err)
	}
	return append(a.Logins, subject)[0], nil
}

// has lists the account's passkeys, so that an authenticator makes no second one.
func (s *step) has(ctx context.Context, v *flows.Visit) ([]webauthn.Descriptor, error) {
	all, err := s.authenticators.Authenticators(ctx, v.Subject)
	if err != nil {
		return nil, err
	}
	out := []webauthn.Descriptor{}
	for _, a := range all {
		if a.Type != account.TypePasskey || a.Status != account.Active {
			continue
		}
		var d account.PasskeyData
		if err := json.Unmarshal(a.Data, &d); err != nil {
			return nil, fmt.Errorf("data of authenticator %s: %w", a.ID, err)
		}
		out = append(out, webauthn.Describe(d.Credential, d.Transports))
	}
	return out, nil
}

// refuse asks for a credential over a fresh challenge: the one before is spent.
func (s *step) refuse(ctx context.Context, v *flows.Visit, reason string) (flows.Outcome, error) {
	again, err := s.challenge(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Reject(reason, &again), nil
}

// Answer binds the credential.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	credential, err := json.Marshal(a.Credential)
	if err != nil || !fitName(a.Name) {
		return flows.Outcome{}, fmt.Errorf("%w: credential or name", flows.ErrMalformed)
	}
	if v.Subject == "" {
		return flows.Outcome{}, ErrNoSubject
	}
	var c webauthn.Challenge
	if err := v.Kept(&c); err != nil {
		return flows.Outcome{}, fmt.Errorf("passkeyenrolment: challenge: %w", err)
	}
	if !v.Now.Before(c.Expires) {
		return s.Enter(ctx, v)
	}
	made, err := s.verify(ctx, credential, c.Value)
	var refused webauthn.Refusal
	if errors.As(err, &refused) {
		return s.refuse(ctx, v, string(refused))
	}
	if err != nil {
		return flows.Outcome{}, err
	}
	// One challenge binds one credential; this request may come again.
	if err := v.Once(ctx, "bind/"+c.Value, webauthn.ChallengeLife, false); err != nil {
		return flows.Outcome{}, err
	}
	err = s.bind(ctx, v, made, a.Name)
	if errors.Is(err, account.ErrExists) {
		return s.refuse(ctx, v, "taken")
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("binding: %w", err)
	}
	return flows.Enrolled(webauthn.ID(made.Credential)), nil
}

func (s *step) verify(ctx context.Context, credential []byte, challenge string) (webauthn.Created, error) {
	creation, err := webauthn.ParseCreation(credential)
	if err != nil {
		return webauthn.Created{}, err
	}
	want := webauthn.Want{Party: s.party, Challenge: challenge, Verified: s.Verification == webauthn.Required}
	return creation.Verify(ctx, want, s.policy())
}

// bind adds the authenticator, or finds that this very request has done so
// before. [account.ErrExists] if the credential is or was anybody else's, or is
// the account's already (§7.1 step 26).
func (s *step) bind(ctx context.Context, v *flows.Visit, made webauthn.Created, name string) error {
	data, err := json.Marshal(account.PasskeyData{
		Credential: made.Credential, Key: made.Key, Algorithm: made.Algorithm, Model: made.Model, Transports: made.Transports,
		Counter: made.Counter, BackupEligible: made.BackupEligible, BackedUp: made.BackedUp,
		Attested: made.Attested, Hardware: made.Hardware, Owner: v.Owner(),
	})
	if err != nil {
		return err
	}
	id := webauthn.ID(made.Credential)
	err = s.authenticators.AddAuthenticator(ctx, account.Authenticator{
		ID: id, Subject: v.Subject, Type: account.TypePasskey, Name: name, Status: account.Pending,
		Binding: v.Level.String(), Data: data, Created: v.Now.UTC(),
	})
	if !errors.Is(err, account.ErrExists) {
		return err
	}
	mine, err := s.authenticators.Authenticators(ctx, v.Subject)
	if err != nil {
		return err
	}
	for _, a := range mine {
		var d account.PasskeyData
		if a.ID != id || a.Type != account.TypePasskey || a.Status == account.Disabled || json.Unmarshal(a.Data, &d) != nil {
			continue
		}
		if d.Owner == v.Owner() {
			return nil
		}
	}
	return account.ErrExists
}

// fitName refuses what could not be shown to its owner as it stands, or would
// rearrange the text around it.
func fitName(name string) bool {
	if utf8.RuneCountInString(name) > maxName {
		return false
	}
	for _, r := range name {
		if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return false
		}
	}
	return true
}
