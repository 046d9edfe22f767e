// Package directorylookup is the step "directory_lookup": it reads what a directory has of
// somebody who has signed in elsewhere.
package directorylookup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/steps/ldappassword"
)

const doc = `Reads a directory for somebody who has signed in elsewhere.

It never asks. The entry is the one whose attribute is, exactly and alone, what the
account has in the attribute account. It is read when a run arrives, so that who was taken
out of a group is out at once; nothing that the client says is looked at.

	with    directory: name of an entry of "directories"
	        account:   the attribute of the account that says whose entry it is; not roles
	        attribute: the attribute of the entry that it is compared with
	        verified:  true asks that the account's attribute is verified: that the
	                   attribute of the same name with _verified behind it is "true"
	        assign:    names, each with what it gets: a name of the directory's
	                   "attributes", or roles, which words(assigned.NAME) takes apart

	exits   unknown

What the entry does not have is assigned as the empty text. Nobody is found, which is
unknown, where the account does not say whose entry it is, the directory has none or more
than one, the account is not active, or nobody was proved to be there. A directory that
does not answer, or has what no text can be, makes the step unavailable: nobody gets past it.

Whoever can write that attribute of an account decides whose groups it has. Take one that
the identity provider or an administrator writes, and never one that people can choose.

Only the run has what is assigned; the account stays as it is. It proves nothing. It mostly
stands in a flow of the kind authorization.
`

const (
	exitUnknown = "unknown"
	maxText     = 4 << 10 // bytes of one value
)

// Accounts finds accounts; the stores' repositories of accounts do. Safe for
// concurrent use. What is not there is [account.ErrNotFound].
type Accounts interface {
	Account(ctx context.Context, subject string) (account.Account, error)
}

// Type returns the step type. Without accounts or the directory its steps are unavailable.
func Type(directories ldappassword.Directories, accounts Accounts) flows.StepType {
	return flows.StepType{
		Name:   "directory_lookup",
		Doc:    doc,
		Config: flowdefs.SchemaFor[config](),
		Exits:  []string{exitUnknown},
		Assigns: func(cfg flowdefs.Config) []string {
			var c config
			if cfg.Decode(&c) != nil {
				return nil
			}
			return slices.Sorted(maps.Keys(c.Assign))
		},

		NeedsSubject: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			var c config
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			s := &step{c, directories[c.Directory].Reader, accounts}
			if err := s.check(); err != nil {
				return nil, fmt.Errorf("directory_lookup: %w", err)
			}
			return s, nil
		},
	}
}

type config struct {
	Directory string            `yaml:"directory" ref:"directory" doc:"A directory of the definitions."`
	Account   string            `yaml:"account" minLength:"1" doc:"The account's attribute that says whose entry it is."`
	Attribute string            `yaml:"attribute" minLength:"1" doc:"The entry's attribute that it is compared with."`
	Verified  bool              `yaml:"verified,optional" doc:"Whether the account's attribute has to be verified."`
	Assign    map[string]string `yaml:"assign" doc:"Names, each with a name of the directory's attributes, or roles."`
}

type step struct {
	cfg      config
	reader   ldappassword.Reader
	accounts Accounts
}

func (s *step) check() error {
	c := s.cfg
	switch {
	case c.Account == "" || c.Account == flowdefs.RolesAttribute:
		return fmt.Errorf("account: %q does not say whose entry it is", c.Account)
	case !isDescriptor(c.Attribute):
		return fmt.Errorf("attribute: %q is no name of an attribute", c.Attribute)
	case len(c.Assign) == 0:
		return errors.New("assign is empty: there is nothing to look up")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Assign)) {
		if !isName(name) {
			return fmt.Errorf("assign: %q is not made of a-z, 0-9, _ and - with a letter at its beginning", name)
		}
		if s.reader != nil && !s.reader.Says(c.Assign[name]) {
			return fmt.Errorf("assign: %s: the directory %s has no attribute %q in the definitions", name, c.Directory, c.Assign[name])
		}
	}
	return nil
}

// isName says whether expressions can call something that.
func isName(name string) bool {
	other := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' }
	return name != "" && name[0] >= 'a' && name[0] <= 'z' && !strings.ContainsFunc(name, other)
}

// isDescriptor says whether that can be the name of an attribute (RFC 4512 §1.4), and
// nothing else of a filter.
func isDescriptor(name string) bool {
	other := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
	}
	return name != "" && len(name) <= 64 && name[0] >= 'A' && !strings.ContainsFunc(name, other) // letters are behind A
}

// Enter reads the directory.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if v.Subject == "" {
		return flows.Exit(exitUnknown), nil
	}
	if s.accounts == nil || s.reader == nil {
		return flows.Outcome{}, fmt.Errorf("%w: directory_lookup: the directory %q, or its password, is not configured", flows.ErrUnavailable, s.cfg.Directory)
	}
	who, err := s.accounts.Account(ctx, v.Subject)
	if errors.Is(err, account.ErrNotFound) {
		return flows.Exit(exitUnknown), nil
	}
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: directory_lookup: %w", flows.ErrUnavailable, err)
	}
	key := who.Attributes[s.cfg.Account]
	if who.Status != account.Active || key == "" || s.cfg.Verified && who.Attributes[s.cfg.Account+flowdefs.VerifiedSuffix] != "true" {
		return flows.Exit(exitUnknown), nil
	}
	entry, err := s.reader.Read(ctx, s.cfg.Attribute, key)
	switch {
	case errors.Is(err, account.ErrNotFound):
		return flows.Exit(exitUnknown), nil
	case err != nil:
		return flows.Outcome{}, fmt.Errorf("%w: directory_lookup: %w", flows.ErrUnavailable, err)
	}
	return s.done(entry.Attributes)
}

// Decide is what an entry comes to that has these attributes, a JSON object of texts by
// the names of the definitions. For scenarios, which ask no directory.
func (s *step) Decide(_ context.Context, entry []byte) (flows.Outcome, error) {
	var has map[string]string
	if err := json.Unmarshal(entry, &has); err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: directory_lookup: the entry is no object of texts", flows.ErrUnavailable)
	}
	return s.done(has)
}

// done assigns what the entry has.
func (s *step) done(has map[string]string) (flows.Outcome, error) {
	values := make(map[string]string, len(s.cfg.Assign))
	for name, word := range s.cfg.Assign {
		text := has[word]
		if word == flowdefs.RolesAttribute {
			if strings.ContainsFunc(text, unicode.IsSpace) { // one role would become two
				return flows.Outcome{}, fmt.Errorf("%w: directory_lookup: a role with a space in it cannot be assigned", flows.ErrUnavailable)
			}
			text = strings.Join(flowdefs.Roles(has), " ")
		}
		if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return flows.Outcome{}, fmt.Errorf("%w: directory_lookup: %s is too long, or no text", flows.ErrUnavailable, word)
		}
		values[name] = text
	}
	return flows.Done().Assigning(values), nil
}

// Answer refuses: the step never asks.
func (s *step) Answer(context.Context, *flows.Visit, flows.Input) (flows.Outcome, error) {
	return flows.Outcome{}, errors.New("directory_lookup: never asks")
}
