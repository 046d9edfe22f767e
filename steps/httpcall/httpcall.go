// Package httpcall is the step "http_call": it asks a web service of the operator how to go on.
package httpcall

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

const doc = `Asks a web service how to go on.

It never asks the client. When a run arrives the service gets one POST of

	{"run": "...", "step": "risk", "visit": 1, "flow": "sign-in", "subject": "...", "time": "2026-03-01T12:00:00Z"}

with the header

	Stile-Signature: t=1772366400,v1=<hex of HMAC-SHA256(secret, t + "." + body)>

and answers 200 with the JSON {"outcome": WORD} and nothing else in it, or with
any JSON object that outcome and assign, expressions over response, read. The
service has to check the signature, and that t is recent. After a crash it may be
asked the same again: run, step and visit together say which question it is.
subject is empty until somebody has been proved to be there.

	with    url:      https, without user and fragment
	        secret:   { env: NAME } or { file: PATH }; at least 32 bytes
	        timeout:  of the whole call; default 5s, at most 10s
	        outcomes: the words besides ok that the service may answer
	        outcome:  an expression over response that is ok or one of outcomes, such as
	                  'response.score > 80.0 ? "review" : "ok"'; default response.outcome
	        assign:   names, each with an expression over response: a string, or a list
	                  of words, which words(assigned.NAME) takes apart again
	        insecure_loopback: true allows http to this machine; for development

	exits   challenge, refused, review, unknown

ok goes on, with everything assigned; a word of outcomes leaves by the exit of that name. Everything else
makes the step unavailable, and nobody gets past it: another word or status, a
redirect, an answer that is late, over 1 MiB or no strict JSON, one that an
expression cannot be evaluated on, a secret that is not there.

A service may not be at a private, loopback, link-local, shared or otherwise
special address, whatever its name resolves to at the moment of the call, unless
the server's configuration lists its host. Proxies of the environment are not used.

It proves nothing.
`

const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 10 * time.Second
)

// exits are the words that a service may answer besides ok.
func exits() []string { return []string{"challenge", "refused", "review", "unknown"} }

// Config says how calls leave this node. The zero value calls public addresses only.
type Config struct {
	// Private are the hosts, as URLs name them, that may be at private, shared and loopback
	// addresses. Link-local and other special addresses are refused for them too.
	Private []string
	// Roots are the certificate authorities that services are checked against; nil: the system's.
	Roots *x509.CertPool
	// Lookup resolves a host's name; nil: the system's resolver. Safe for concurrent use.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Env reads environment variables that hold secrets; nil: none is set. Safe for concurrent use.
	Env func(name string) string
}

// Type returns the step type.
func Type(c Config) flows.StepType {
	if c.Env == nil {
		c.Env = func(string) string { return "" }
	}
	if c.Lookup == nil {
		c.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return flows.StepType{
		Name:   "http_call",
		Doc:    doc,
		Config: flowdefs.SchemaFor[config](),
		Exits:  exits(),
		ExitsOf: func(cfg flowdefs.Config) []string {
			var with config
			if cfg.Decode(&with) != nil {
				return exits()
			}
			return with.Outcomes
		},
		Assigns: func(cfg flowdefs.Config) []string {
			var with config
			if cfg.Decode(&with) != nil {
				return nil
			}
			return slices.Sorted(maps.Keys(with.Assign))
		},
		New: func(cfg flowdefs.Config) (flows.Step, error) { return newStep(c, cfg) },
	}
}

type config struct {
	URL      string                    `yaml:"url" doc:"Where the service is."`
	Secret   place                     `yaml:"secret" doc:"Where the secret is that requests are signed with."`
	Timeout  time.Duration             `yaml:"timeout,optional" doc:"Of the whole call; default 5s, at most 10s."`
	Outcomes []string                  `yaml:"outcomes,optional" doc:"What the service may answer besides ok: challenge, refused, review, unknown."`
	Outcome  flowdefs.Query            `yaml:"outcome,optional" doc:"What the answer comes to: ok, or a word of outcomes; an expression over response. Default: response.outcome, and nothing else may be in the answer."`
	Assign   map[string]flowdefs.Query `yaml:"assign,optional" doc:"Names, each with an expression over response of type string, or list of strings."`
	Loopback bool                      `yaml:"insecure_loopback,optional" doc:"Allows http to this machine."`
}

func newStep(c Config, cfg flowdefs.Config) (flows.Step, error) {
	with := config{Timeout: defaultTimeout}
	if err := cfg.Decode(&with); err != nil {
		return nil, err
	}
	if err := with.check(c); err != nil {
		return nil, fmt.Errorf("http_call: %w", err)
	}
	return &step{with, c.Env, &http.Client{
		Transport: c.transport(with.Loopback),
		// A redirect is an answer like any other that is not 200: what was signed goes nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (w config) check(c Config) error {
	if err := c.checkURL(w.URL, w.Loopback); err != nil {
		return err
	}
	if err := w.Secret.check(); err != nil {
		return err
	}
	if w.Timeout <= 0 || w.Timeout > maxTimeout {
		return fmt.Errorf("timeout: %s is not between 1ms and %s", w.Timeout, maxTimeout)
	}
	for i, word := range w.Outcomes {
		if !slices.Contains(exits(), word) {
			return fmt.Errorf("outcomes: %q is none of %q", word, exits())
		}
		if slices.Contains(w.Outcomes[:i], word) {
			return fmt.Errorf("outcomes: %q stands there twice", word)
		}
	}
	return nil
}

type step struct {
	cfg    config
	env    func(string) string
	client *http.Client
}

// Enter asks the service.
func (s *step) Enter(ctx context.Context, v *flows.Visit) (flows.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	answer, err := s.ask(ctx, v)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: http_call: %w", flows.ErrUnavailable, err)
	}
	return s.Decide(ctx, answer)
}

// Decide is what an answer of the service comes to. [flows.ErrUnavailable] if it
// is none that the configuration can read; nothing of it is assigned then.
func (s *step) Decide(ctx context.Context, answer []byte) (flows.Outcome, error) {
	out, err := s.cfg.decide(ctx, answer)
	if err != nil {
		return flows.Outcome{}, fmt.Errorf("%w: http_call: %w", flows.ErrUnavailable, err)
	}
	return out, nil
}

func (w config) decide(ctx context.Context, answer []byte) (flows.Outcome, error) {
	var said map[string]any
	if flows.CheckJSON(answer) != nil || json.Unmarshal(answer, &said) != nil {
		return flows.Outcome{}, errors.New("the answer is no strict JSON object") // not err: it would say that the client's input is malformed
	}
	word, err := w.word(ctx, said)
	switch {
	case err != nil:
		return flows.Outcome{}, err
	case word == "ok":
		return w.done(ctx, said)
	case slices.Contains(w.Outcomes, word):
		return flows.Exit(word), nil
	}
	return flows.Outcome{}, errors.New("the service answered a word that is not in outcomes")
}

// word is ok or where to go on. Where no expression reads the answer nothing else
// may be in it: it was meant for somebody else then.
func (w config) word(ctx context.Context, said map[string]any) (string, error) {
	if w.Outcome.Source != "" {
		return w.Outcome.Text(ctx, said)
	}
	word, there := said["outcome"].(string)
	switch {
	case there && (len(said) == 1 || len(w.Assign) > 0):
		return word, nil
	case len(w.Assign) > 0 && len(w.Outcomes) == 0 && !has(said, "outcome"): // a service that only tells something
		return "ok", nil
	}
	return "", errors.New(`the answer is not exactly {"outcome": WORD}`)
}

func has(said map[string]any, name string) bool {
	_, there := said[name]
	return there
}

// done assigns what the answer says.
func (w config) done(ctx context.Context, said any) (flows.Outcome, error) {
	if len(w.Assign) == 0 {
		return flows.Done(), nil
	}
	values := make(map[string]string, len(w.Assign))
	for name, q := range w.Assign {
		v, err := q.Text(ctx, said)
		if err != nil {
			return flows.Outcome{}, fmt.Errorf("assign %s: %w", name, err)
		}
		values[name] = v
	}
	return flows.Done().Assigning(values), nil
}

// Answer refuses: the step never asks.
func (s *step) Answer(context.Context, *flows.Visit, flows.Input) (flows.Outcome, error) {
	return flows.Outcome{}, errors.New("http_call: never asks")
}
