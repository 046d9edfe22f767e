package devicekey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/steps/devicejws"
)

// Use is a step that asks for a signature of a bound key. All fields but Unlock and Biometric are required.
type Use struct {
	Name, Doc, Code string           // of the step type and its prompts
	Authenticator   string           // type of the authenticators whose keys may sign
	Unlock          assurance.Unlock // what the app says that unlocks these keys, where tokens are to tell
	// Biometric: an attested key proves that biometrics opened it, as it opens to nothing else.
	Biometric bool
}

// Authenticators keeps the keys of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// errRevoked reports an authenticator that was disabled while it was being verified.
var errRevoked = errors.New("devicekey: revoked")

// asks is what a use asks with: what is shown besides the challenge, and what of it is signed.
type asks struct {
	// show is called where the step asks; nil: nothing is shown.
	show func(*flows.Visit) (flows.Approval, error)
	// data makes the data of a prompt.
	data func(challenge, *flows.Approval) any
}

// Type returns the step type. The audience is Stile's issuer URL.
func (u Use) Type(as Authenticators, audience string, by Attestation) flows.StepType {
	return flows.StepType{
		Name:     u.Name,
		Doc:      u.Doc,
		Code:     u.Code,
		Prompt:   flowdefs.SchemaFor[challenge](),
		Input:    flowdefs.SchemaFor[signature](),
		Config:   flowdefs.SchemaFor[useConfig](),
		Evidence: u.ceilings(preferred),
		Ceilings: func(cfg flowdefs.Config, _ map[string]*flowdefs.Provider) []assurance.Ceiling {
			c, err := readUse(cfg)
			if err != nil {
				return nil
			}
			return u.ceilings(c.Attested)
		},
		Authenticator: u.Authenticator,
		NeedsDevice:   true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c, err := readUse(cfg)
			if err != nil {
				return nil, err
			}
			return u.step(as, audience, by, c.Attested, asks{data: func(c challenge, _ *flows.Approval) any { return c }})
		},
	}
}

func (u Use) step(as Authenticators, audience string, by Attestation, mode string, a asks) (*use, error) {
	if audience == "" {
		return nil, errNoAudience
	}
	decoy, err := newDecoy()
	if err != nil {
		return nil, err
	}
	return &use{u, as, audience, decoy, by, mode, a}, nil
}

type signature struct {
	JWS       string `json:"jws" minLength:"1" maxLength:"8192"`
	Assertion string `json:"assertion,omitempty" maxLength:"8192" doc:"Of a key that was bound with App Attest: an assertion over jws, in base64url."`
}

type challenge struct {
	Challenge string    `json:"challenge" doc:"What is to be signed: the nonce of the payload."`
	Audience  string    `json:"audience" doc:"aud of the payload."`
	Flow      string    `json:"flow" doc:"flow of the payload."`
	Step      string    `json:"step" doc:"step of the payload."`
	ExpiresAt time.Time `json:"expiresAt" doc:"How long the challenge is good."`
}

type use struct {
	kind     Use
	accounts Authenticators
	audience string
	decoy    devicejws.Key // what unknown keys are measured against
	by       Attestation
	mode     string // none, preferred, required
	asks     asks
}

// memory is what the step keeps of its prompt.
type memory struct {
	devicejws.Challenge
	Shown *flows.Approval `json:"shown,omitempty"` // as it was shown: texts may change meanwhile
}

// transaction is what a signature has to say that was shown.
func (m memory) transaction() string {
	if m.Shown == nil {
		return ""
	}
	return m.Shown.Hash
}

// newDecoy makes a key of which nobody has the private part.
func newDecoy() (devicejws.Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return devicejws.Key{}, fmt.Errorf("devicekey: decoy: %w", err)
	}
	return devicejws.NewKey(&private.PublicKey)
}

// Enter asks for a signature over a fresh challenge.
func (s *use) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	p, err := s.challenge(v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(p), nil
}

// challenge makes and keeps a challenge; the one before is void.
func (s *use) challenge(v *flows.Visit) (flows.Prompt, error) {
	m := memory{Challenge: devicejws.NewChallenge(v.Now)}
	if s.asks.show != nil {
		shown, err := s.asks.show(v)
		if err != nil {
			return flows.Prompt{}, err
		}
		m.Shown = &shown
	}
	if err := v.Keep(m); err != nil {
		return flows.Prompt{}, err
	}
	return flows.Prompt{
		Data: s.asks.data(challenge{m.Nonce, s.audience, v.RunID, v.StepID, m.Expires}, m.Shown),
	}, nil
}

// refuse asks for a signature over a fresh challenge: the one before is spent.
func (s *use) refuse(v *flows.Visit, reason string) (flows.Outcome, error) {
	again, err := s.challenge(v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Reject(reason, &again), nil
}

// Answer verifies the signature.
func (s *use) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a signature
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if a.JWS == "" {
		return flows.Outcome{}, fmt.Errorf("%w: jws", flows.ErrMalformed)
	}
	var m memory
	if err := v.Kept(&m); err != nil {
		return flows.Outcome{}, fmt.Errorf("devicekey: challenge: %w", err)
	}
	if !v.Now.Before(m.Expires) {
		return s.Enter(ctx, v)
	}
	proof, err := s.verify(ctx, v, a, m)
	if word, refused := refusal(err); refused {
		return s.refuse(v, word)
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("device key: %w", err)
	}
	proof.Approved = m.Shown
	return flows.Pass(proof), nil
}

// verify returns what the signature proves. It verifies one also where there is
// no key to verify it with.
func (s *use) verify(ctx context.Context, v *flows.Visit, answer signature, m memory) (flows.Proof, error) {
	proof, err := devicejws.ParseAuthentication(answer.JWS)
	if err != nil {
		return flows.Proof{}, err
	}
	all, err := s.accounts.Authenticators(ctx, v.Claimed)
	if err != nil {
		return flows.Proof{}, err
	}
	a, known := s.find(all, v, proof.ClaimedKeyID())
	key, data := s.decoy, account.DeviceData{}
	if known {
		if key, data, err = stored(a); err != nil {
			return flows.Proof{}, err
		}
	}
	want := devicejws.Want{
		Audience: s.audience, Nonce: m.Nonce, Flow: v.RunID, Step: v.StepID, Now: v.Now, Transaction: m.transaction(),
	}
	err = proof.Verify(key, v.Client.ID, want)
	if !known {
		return flows.Proof{}, devicejws.BadSignature
	}
	if err != nil {
		return flows.Proof{}, err
	}
	counter, err := s.attested(answer, data)
	if err != nil {
		return flows.Proof{}, err
	}
	err = s.accounts.UpdateAuthenticator(ctx, a.ID, used(v, counter))
	if errors.Is(err, errRevoked) {
		return flows.Proof{}, devicejws.BadSignature
	}
	return flows.Proof{Evidence: s.evidence(a, data)}, err
}

// find looks the key up among the active ones of the claimed account on this
// very device, and nowhere else.
func (s *use) find(all []account.Authenticator, v *flows.Visit, id string) (account.Authenticator, bool) {
	if v.Claimed == "" || v.Key == "" {
		return account.Authenticator{}, false
	}
	for _, a := range all {
		if a.ID != id {
			continue
		}
		if a.Type != s.kind.Authenticator || a.Status != account.Active {
			continue
		}
		if a.Key != v.Key {
			continue
		}
		return a, true
	}
	return account.Authenticator{}, false
}

// stored reads the public key of an authenticator; its id must be the key's own.
func stored(a account.Authenticator) (devicejws.Key, account.DeviceData, error) {
	var d account.DeviceData
	if err := json.Unmarshal(a.Data, &d); err != nil {
		return devicejws.Key{}, d, fmt.Errorf("data of authenticator %s: %w", a.ID, err)
	}
	key, err := devicejws.ParseKey(d.JWK)
	if err != nil { // not the client's fault: no refusal
		return devicejws.Key{}, d, fmt.Errorf("key of authenticator %s: %v", a.ID, err)
	}
	if key.ID() != a.ID {
		return devicejws.Key{}, d, fmt.Errorf("key of authenticator %s is %s", a.ID, key.ID())
	}
	return key, d, nil
}
