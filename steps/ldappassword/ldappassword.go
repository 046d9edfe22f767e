// Package ldappassword is the step "ldap_password": a password that an LDAP directory verifies.
package ldappassword

import (
	"context"
	"errors"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/flows/assurance"
)

const doc = `Asks for a password that an LDAP directory verifies.

As the first step of a flow it also asks for the login (identifierRequired is true
in the prompt); where the account is claimed or known already, a login in the answer
is refused.

	prompt  LDAP_PASSWORD_REQUIRED   {"identifierRequired": true}
	answer  {"username": "jane", "password": "..."}

	with    directory: a directory of the definitions

	exits   denied: the password is right, and the person has no account here

The directory is searched for exactly one entry with that login, which is then bound
with the password, over TLS in any case (RFC 4511 §4.2, §4.14). An empty password is
refused before anything is sent: a directory takes it for no authentication, which
succeeds (RFC 4513 §5.1.2). Somebody whom the directory does not have costs the same
requests as a wrong password, and gets the same answer. One that does not answer
makes the step fail with 503; when it has failed several times it is left alone for
some seconds.

Accounts are found by the directory and the entry's ID, never by a name. With
provision: create the first sign-in makes an account, with the login that was typed,
and binds an authenticator at the directory's level; the account's attributes and
roles are taken over at each sign-in. It proves one factor, knowledge.
`

// exitDenied is an exit that any step may take.
const exitDenied = "denied"

// Accounts finds, makes and changes accounts. Safe for concurrent use.
type Accounts interface {
	// AccountByLink returns the account that is linked to an entry; [account.ErrNotFound].
	AccountByLink(ctx context.Context, issuer, external string) (account.Account, error)
	// CreateAccount stores an account with its authenticators and links, all of it
	// or nothing. [account.ErrExists] if the subject, a login or a link is taken.
	CreateAccount(ctx context.Context, a account.Account, auths []account.Authenticator, links []account.Link) error
	// SetAttributes sets these attributes and removes those that are set to "".
	SetAttributes(ctx context.Context, subject string, attributes map[string]string) error
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

// Verifier verifies passwords; [Directory] is one. A wrong password, and somebody
// whom it does not have, is [account.ErrWrong]; [flows.ErrUnavailable]: it cannot tell now.
type Verifier interface {
	ByLogin(ctx context.Context, login, password string) (Entry, error)
	// ByID finds who was found before by what stays.
	ByID(ctx context.Context, id, password string) (Entry, error)
}

// Reader reads entries without anybody's password; [Directory] is one.
type Reader interface {
	// Read returns the one entry whose attribute has that value: [account.ErrNotFound] if
	// there is none, or more than one; [flows.ErrUnavailable]: it cannot tell now.
	Read(ctx context.Context, attribute, value string) (Entry, error)
	// Says reports whether entries have an account's attribute of that name, by the definition.
	Says(name string) bool
}

// Known is a directory, and what it is trusted with.
type Known struct {
	Verifier  Verifier           // nil: its password is not set, the step fails with 503
	Reader    Reader             // likewise, for who signs in elsewhere
	Provision flowdefs.Provision // what an entry without an account comes to; "" is never
	Binding   assurance.Level    // at which its people are bound
}

// Directories are the directories by name. It is not changed once it is in use.
type Directories map[string]Known

// Config is what the step type needs. Without accounts its steps are unavailable.
type Config struct {
	Directories    Directories
	Accounts       Accounts
	Authenticators Authenticators
}

// Type returns the step type.
func Type(deps Config) flows.StepType {
	return flows.StepType{
		Name:          "ldap_password",
		Doc:           doc,
		Code:          "LDAP_PASSWORD_REQUIRED",
		Config:        flowdefs.SchemaFor[config](),
		Prompt:        flowdefs.SchemaFor[prompt](),
		Input:         flowdefs.SchemaFor[answer](),
		Evidence:      []assurance.Ceiling{{Method: assurance.Password, Categories: []assurance.Category{assurance.Knowledge}}},
		Authenticator: account.TypeLDAP,
		Alters:        true,
		Guessable:     true,
		Typed:         true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			var c config
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			return &step{deps, c.Directory}, nil
		},
	}
}

type config struct {
	Directory string `yaml:"directory" ref:"directory" doc:"A directory of the definitions."`
}

type answer struct {
	Username string `json:"username,omitempty" maxLength:"256" doc:"only where identifierRequired"`
	Password string `json:"password" format:"password" minLength:"1" maxLength:"1024"`
}

type prompt struct {
	IdentifierRequired bool `json:"identifierRequired" doc:"Whether the answer has to name the account."`
}

type step struct {
	Config
	directory string
}

var _ flows.Claimer = (*step)(nil)

// Enter asks for the password.
func (s *step) Enter(_ context.Context, v *flows.Visit) (flows.Outcome, error) {
	p := prompt{IdentifierRequired: v.Identifier == "" && v.Claimed == "" && v.Subject == ""}
	if err := v.Keep(p); err != nil {
		return flows.Outcome{}, err
	}
	return flows.Ask(flows.Prompt{Data: p}), nil
}

// Claim returns the login.
func (s *step) Claim(in flows.Input) (string, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return "", err
	}
	return a.Username, nil
}

const longest = 1024 // bytes of a password

// Answer lets the directory verify the password.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	var asked prompt
	if err := v.Kept(&asked); err != nil {
		return flows.Outcome{}, fmt.Errorf("ldappassword: %w", err)
	}
	if asked.IdentifierRequired != (a.Username != "") || a.Password == "" || len(a.Password) > longest {
		return flows.Outcome{}, fmt.Errorf("%w: ldap_password needs %+v and a password", flows.ErrMalformed, asked)
	}
	known := s.Directories[s.directory]
	if known.Verifier == nil || s.Accounts == nil {
		return flows.Outcome{}, fmt.Errorf("%w: the directory %q, or its password, is not configured", flows.ErrUnavailable, s.directory)
	}
	found, subject, err := s.verify(ctx, v, known, a)
	switch {
	case errors.Is(err, account.ErrWrong):
		return flows.Reject("wrong", nil), nil
	case errors.Is(err, errStranger):
		return flows.Exit(exitDenied), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("ldappassword: %w", err)
	}
	return flows.Pass(flows.Proof{Subject: subject, Evidence: evidence(found)}), nil
}

func evidence(a account.Authenticator) assurance.Evidence {
	binding, _ := assurance.ParseLevel(a.Binding) // of an unknown name: None, which earns nothing
	return assurance.Evidence{
		Method: assurance.Password, Authenticator: a.ID, Categories: []assurance.Category{assurance.Knowledge},
		Binding: binding, Cap: assurance.AAL3,
	}
}
