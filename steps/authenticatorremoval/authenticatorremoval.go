// Package authenticatorremoval is the step "authenticator_removal": the account's
// owner takes an authenticator out of use, or calls it something else.
package authenticatorremoval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Lists what the account signs in with, to take one out of use or to rename it.

For a phone that is lost, and for everything else that its owner does not want any
more. Nothing follows the step in its flow: the account is another one behind it.

	prompt  AUTHENTICATOR_REMOVAL_REQUIRED
	        {"authenticators": [{"id", "type", "name", "created", "lastUsed", "thisDevice", "removable"}],
	         "refused": "removal.busy"}
	answer  {"action": "remove", "authenticator": <id>}
	        {"action": "rename", "authenticator": <id>, "name": "the old phone"}

	with    types: the types of authenticators that are listed; default device, device_pin,
	        pin, passkey, totp, hotp, recovery and identity. password may be named besides

With the key of a phone (device) goes all that the phone holds: its PINs, too. What
was removed is disabled and kept, so that nobody binds it again; what it proved in
sessions counts no more. The account's owner is told.

An account stays one that somebody can enter: the last authenticator cannot be removed
that is more than a help to get back in (recovery and activation codes) and is not tied to
a phone that goes; a sign-on at a provider in this run is enough besides, unless an
identity at a provider is what goes. removable says so of each. Two removals at once are one: refused is then removal.busy, and counts nothing.

It needs what binding an authenticator needs: fresh evidence for the highest level that
the account can reach. In a flow of the kind recovery two authenticators are enough,
since what is lost cannot be used. Less leaves by the exit insufficient. It proves nothing.
`

// ErrNobody reports a run in which nobody has proved to be there.
var ErrNobody = errors.New("authenticatorremoval: the run has no subject")

const (
	lifetime = 24 * time.Hour   // how long it is of use to be told of a removal
	alone    = 30 * time.Second // as long as one request may take: another removal has to wait
)

// Authenticators keeps the authenticators of accounts. Safe for concurrent use.
type Authenticators interface {
	// Authenticators returns the account's authenticators, whatever their type and
	// status; none is no error, and neither is an account that does not exist.
	Authenticators(ctx context.Context, subject string) ([]account.Authenticator, error)
	// UpdateAuthenticator calls fn on the authenticator and stores the result, atomically.
	// If fn fails nothing is stored, and errors.Is finds fn's error.
	UpdateAuthenticator(ctx context.Context, id string, fn func(*account.Authenticator) error) error
}

// Type returns the step type.
func Type(as Authenticators) flows.StepType {
	return flows.StepType{
		Name:         "authenticator_removal",
		Doc:          doc,
		Code:         "AUTHENTICATOR_REMOVAL_REQUIRED",
		Config:       flowdefs.SchemaFor[config](),
		Prompt:       flowdefs.SchemaFor[prompt](),
		Input:        flowdefs.SchemaFor[answer](),
		NeedsSubject: true,
		Removes:      true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			c := config{Types: standard()}
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if len(c.Types) == 0 {
				return nil, errors.New("types: expected at least one")
			}
			for i, typ := range c.Types {
				if !slices.Contains(append(standard(), account.TypePassword), typ) || slices.Contains(c.Types[:i], typ) {
					return nil, fmt.Errorf("types: %q cannot be removed here, or stands twice", typ)
				}
			}
			return &step{as, c}, nil
		},
	}
}

func standard() []string {
	return []string{
		account.TypeDevice, account.TypeDevicePIN, account.TypePIN, account.TypePasskey, account.TypeTOTP, account.TypeHOTP, account.TypeRecovery, account.TypeIdentity,
	}
}

type config struct {
	Types []string `yaml:"types,optional" doc:"Types of authenticators that are listed; default all but passwords, addresses and what administrators bind."`
}

type answer struct {
	Action        string `json:"action" enum:"remove,rename"`
	Authenticator string `json:"authenticator" minLength:"1" maxLength:"1024" doc:"Its id."`
	Name          string `json:"name,omitempty" maxLength:"64" doc:"Of rename: what it is called from now on."`
}

type prompt struct {
	Authenticators []listed `json:"authenticators" doc:"What the account signs in with."`
	Refused        string   `json:"refused,omitempty" doc:"Id of the message that says why the last one was not removed."`
}

type listed struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Name       string    `json:"name" doc:"What its owner calls it."`
	Created    time.Time `json:"created"`
	LastUsed   time.Time `json:"lastUsed,omitzero" doc:"Absent: never."`
	ThisDevice bool      `json:"thisDevice" doc:"It belongs to the phone that asks."`
	Removable  bool      `json:"removable" doc:"The account can be entered without it."`
}

type step struct {
	accounts Authenticators
	cfg      config
}

// Enter lists what there is.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	all, err := s.active(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(s.list(v, all, "")), nil
}

// active are the authenticators that are in use, whatever their type.
func (s *step) active(ctx context.Context, v *flows.Visit) ([]account.Authenticator, error) {
	all, err := s.accounts.Authenticators(ctx, v.Subject)
	if err != nil {
		return nil, fmt.Errorf("authenticatorremoval: %w", err)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(a account.Authenticator) bool { return a.Status != account.Active })
	slices.SortFunc(all, func(a, b account.Authenticator) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

func (s *step) list(v *flows.Visit, all []account.Authenticator, refused string) flows.Prompt {
	p := prompt{Authenticators: []listed{}, Refused: refused}
	for _, a := range all {
		if slices.Contains(s.cfg.Types, a.Type) {
			p.Authenticators = append(p.Authenticators, listed{
				a.ID, a.Type, a.Name, a.Created.UTC(), a.LastUsed.UTC(), a.Key != "" && a.Key == v.Key, enterable(v, without(all, a), a),
			})
		}
	}
	return flows.Prompt{Data: p}
}

// without is what is left when one goes, and with the key of a phone all that the phone holds.
func without(all []account.Authenticator, gone account.Authenticator) []account.Authenticator {
	return slices.DeleteFunc(slices.Clone(all), func(a account.Authenticator) bool {
		return a.ID == gone.ID || gone.Type == account.TypeDevice && gone.Key != "" && a.Key == gone.Key
	})
}

// enterable says whether somebody can sign in with what is left. A sign-on at a provider
// may rest on the very identity that goes.
func enterable(v *flows.Visit, left []account.Authenticator, gone account.Authenticator) bool {
	return v.Federated && gone.Type != account.TypeIdentity || slices.ContainsFunc(left, func(a account.Authenticator) bool {
		switch a.Type {
		case account.TypeRecovery, account.TypeActivation: // a help to get back in, not a way to live with
			return false
		case account.TypePIN, account.TypeDevicePIN: // of a phone that its own key binds
			return slices.ContainsFunc(left, func(d account.Authenticator) bool { return d.Type == account.TypeDevice && d.Key == a.Key })
		}
		return true
	})
}

// Answer takes one out of use with the change that it is part of, or renames it.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	named := a.Action == "rename"
	if !named && a.Action != "remove" || a.Authenticator == "" || named != (a.Name != "") || account.CheckName(a.Name) != nil {
		return flows.Outcome{}, fmt.Errorf("%w: action, authenticator or name", flows.ErrMalformed)
	}
	if v.Subject == "" {
		return flows.Outcome{}, ErrNobody
	}
	all, err := s.active(ctx, v)
	if err != nil {
		return flows.Outcome{}, err
	}
	i := slices.IndexFunc(all, func(x account.Authenticator) bool {
		return x.ID == a.Authenticator && slices.Contains(s.cfg.Types, x.Type)
	})
	if i < 0 {
		again := s.list(v, all, "")
		return flows.Reject("unknown", &again), nil
	}
	if named {
		return s.rename(ctx, all[i], a.Name)
	}
	return s.remove(ctx, v, all, all[i])
}

func (s *step) rename(ctx context.Context, a account.Authenticator, name string) (flows.Outcome, error) {
	err := s.accounts.UpdateAuthenticator(ctx, a.ID, func(x *account.Authenticator) error {
		x.Name = name
		return nil
	})
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("authenticatorremoval: rename: %w", err)
	}
	return flows.Done(), nil
}

func (s *step) remove(ctx context.Context, v *flows.Visit, all []account.Authenticator, a account.Authenticator) (flows.Outcome, error) {
	left := without(all, a)
	if !enterable(v, left, a) {
		return flows.Ask(s.list(v, all, "removal.last")), nil
	}
	// What is left is counted before anything goes: two at once could each leave the other.
	err := v.Once(ctx, "removal/"+v.Subject, alone, false)
	if errors.Is(err, flows.ErrTaken) {
		return flows.Ask(s.list(v, all, "removal.busy")), nil
	}
	if err != nil {
		return flows.Outcome{}, err
	}
	var gone []flows.Authenticator
	for _, x := range all {
		if !slices.ContainsFunc(left, func(l account.Authenticator) bool { return l.ID == x.ID }) {
			gone = append(gone, flows.Authenticator{ID: x.ID, Type: x.Type})
		}
	}
	return flows.Removed(gone...), nil
}
