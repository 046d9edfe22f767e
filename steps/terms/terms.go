// Package terms is the step "terms": a document that the person accepts once.
package terms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

const doc = `Shows a document, such as terms of use, that the person accepts once.

The account remembers what was accepted, and when. Who has accepted the document is
not asked again; a new version is another document, with an id of its own. Conditions
ask for it with account.accepted("tos-2026"). Somebody must have proved to be there.

	prompt  TERMS_REQUIRED
	        {"document": "tos-2026", "text": "tos-in-short", "url": "https://bank.example/tos-2026"}
	answer  {"accept": true}

	with    document: its id, made of a-z, 0-9, ".", "_" and "-"
	        text:     id of a message that says what it is about; optional
	        urls:     where it stands, by language; the prompt has the one of the client's
	                  language, else the one of the first by name; optional

	exits   denied: the person does not accept it

It proves nothing.

Scenarios: ok, denied.
`

const exitDenied = "denied"

// Agreements keeps what people have agreed to. Safe for concurrent use.
type Agreements interface {
	// Agreements returns what an account has agreed to; none is no error.
	Agreements(ctx context.Context, subject string) ([]account.Agreement, error)
	// Agree stores an agreement in the place of one of the same kind and name.
	Agree(ctx context.Context, a account.Agreement) error
}

// Type returns the step type. Without agreements its steps are unavailable.
func Type(as Agreements) flows.StepType {
	return flows.StepType{
		Name:   "terms",
		Doc:    doc,
		Code:   "TERMS_REQUIRED",
		Config: flowdefs.SchemaFor[config](),
		Prompt: flowdefs.SchemaFor[prompt](),
		Input:  flowdefs.SchemaFor[answer](),
		Exits:  []string{exitDenied},
		Typed:  true,

		NeedsSubject: true,
		New: func(cfg flowdefs.Config) (flows.Step, error) {
			var c config
			if err := cfg.Decode(&c); err != nil {
				return nil, err
			}
			if err := c.check(); err != nil {
				return nil, fmt.Errorf("terms: %w", err)
			}
			return &step{c, as}, nil
		},
	}
}

const maxDocument = 64

var documentForm = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)

type config struct {
	Document string            `yaml:"document" pattern:"^[a-z][a-z0-9._-]{0,63}$" doc:"Id of the document; a new version has another one."`
	Text     string            `yaml:"text,optional" ref:"message" doc:"Id of a message that says what it is about."`
	URLs     map[string]string `yaml:"urls,optional" doc:"Where it stands, by language."`
}

func (c config) check() error {
	if !documentForm.MatchString(c.Document) || len(c.Document) > maxDocument {
		return fmt.Errorf("document is an id, not %q", c.Document)
	}
	for language, text := range c.URLs {
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return fmt.Errorf("urls: %s: expected an https URL", language)
		}
	}
	return nil
}

// where is the document in a language such as "de-CH".
func (c config) where(locale string) string {
	language, _, _ := strings.Cut(locale, "-")
	for _, l := range []string{locale, language} {
		if u, ok := c.URLs[l]; ok {
			return u
		}
	}
	for _, l := range slices.Sorted(maps.Keys(c.URLs)) {
		return c.URLs[l]
	}
	return ""
}

type answer struct {
	Accept bool `json:"accept"`
}

type prompt struct {
	Document string `json:"document" doc:"Id of the document."`
	Text     string `json:"text,omitempty" doc:"Id of a message that says what it is about."`
	URL      string `json:"url,omitempty" doc:"Where the document stands."`
}

type step struct {
	cfg      config
	accounts Agreements
}

// Enter asks who has not accepted the document yet.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	if err := s.ready(v); err != nil {
		return flows.Outcome{}, err
	}
	all, err := s.accounts.Agreements(ctx, v.Subject)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: terms: %w", flows.ErrUnavailable, err)
	}
	if _, ok := account.FindAgreement(all, account.Terms, s.cfg.Document); ok {
		return flows.Done(), nil
	}
	return flows.Ask(flows.Prompt{Data: prompt{s.cfg.Document, s.cfg.Text, s.cfg.where(v.Locale)}}), nil
}

// Answer keeps that it was accepted.
func (s *step) Answer(ctx context.Context, v *flows.Visit, in flows.Input) (flows.Outcome, error) {
	var a answer
	if err := in.Decode(&a); err != nil {
		return flows.Outcome{}, err
	}
	if err := s.ready(v); err != nil {
		return flows.Outcome{}, err
	}
	if !a.Accept {
		return flows.Exit(exitDenied), nil
	}
	given := account.Agreement{Subject: v.Subject, Kind: account.Terms, Name: s.cfg.Document, Given: v.Now.UTC()}
	if err := s.accounts.Agree(ctx, given); err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: terms: %w", flows.ErrUnavailable, err)
	}
	return flows.Done(), nil
}

func (s *step) ready(v *flows.Visit) error {
	switch {
	case v.Subject == "":
		return errors.New("terms: the run has no subject")
	case s.accounts == nil:
		return fmt.Errorf("%w: terms: no agreements", flows.ErrUnavailable)
	}
	return nil
}
