package flowdefs

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// Set is everything that one directory of definitions declares. It is immutable after loading.
type Set struct {
	Flows     map[string]*Flow
	Targets   map[string]*Target
	Providers map[string]*Provider
	Clients   map[string]*Client
}

// Pos is a place in a definition file; Line and Column count from 1.
type Pos struct {
	File         string
	Line, Column int
}

// String returns "file:line:column".
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// Flow is one flow definition.
type Flow struct {
	Name        string
	Description string
	Steps       []Node
	Timeout     time.Duration // life of a run; 0: the engine's default
	Source      []byte        // canonical text; [Parse] of it gives an equal Flow
	Hash        string        // lower-case hex SHA-256 of Source: the identity that a run pins
	Pos         Pos
}

// Kind says what a node does.
type Kind int

// The kinds of nodes.
const (
	Step    Kind = iota // runs a step of Type with With
	Choose              // lets the client pick one of Options
	Require             // a guard: false or an error fails the run
)

// Node is one entry of a flow's step list.
type Node struct {
	Kind       Kind
	ID         string // unique in its flow; empty only for Require
	If         *Condition
	Type       string // Step: name of the step type
	With       Config // Step: its configuration, already validated; never nil for Step
	ConfigHash string // Step: hex SHA-256 of the canonical form of Type and With
	Attempts   int    // Step: wrong answers after which the step is exhausted in this run; 0: engine default
	Options    []Node // Choose: at least one; each is a Step or a Choose
	Otherwise  *Node  // Choose: taken when no option is left; may be nil
	Require    *Condition
	Pos        Pos
}

// Config is the "with:" block of a step.
type Config interface {
	// Decode fills dst, a pointer to a struct with `yaml` tags, strictly:
	// unknown keys, missing required keys and wrong types are errors that carry positions.
	Decode(dst any) error
}

// Target is an application that an identity is propagated to.
type Target struct {
	Name      string
	Flow      string
	Requires  Requirement
	Propagate Propagate
	Pos       Pos
}

// Requirement is what a target asks of a run.
type Requirement struct {
	ACR    assurance.Level // None: nothing asked
	MaxAge time.Duration   // 0: no limit
}

// Propagate says what a completed run for a target turns into.
type Propagate struct {
	Type     string // "bearer_jwt"
	Audience string
	TTL      time.Duration         // 0: the propagator's default
	Claims   map[string]*Condition // claim name to an expression of any type; reserved names do not load
}

// Provider is a remote OpenID provider.
type Provider struct {
	Name         string
	Issuer       string
	ClientID     string
	ClientSecret *SecretRef // nil: public client
	Scopes       []string
	Provision    Provision
	Categories   []assurance.Category // what this provider proves; default {knowledge}
	Cap          assurance.Level      // default AAL1
	Pos          Pos
}

// Provision says what happens at the first sign-on of an unknown (issuer, subject).
type Provision string

// The provisioning policies.
const (
	ProvisionNever    Provision = "never" // default
	ProvisionLinkOnly Provision = "link_only"
	ProvisionCreate   Provision = "create"
)

// SecretRef names where a secret is kept; exactly one field is set.
type SecretRef struct {
	Env  string
	File string
}

// Client is an app that may start flows.
type Client struct {
	ID           string
	Flows        []string
	Targets      []string
	RedirectURIs []string // exact; loopback http matches any port (RFC 8252 §7.3)
	Origins      []string // CORS; default none
	DPoPRequired bool
	Pos          Pos
}

// Catalogue knows the step types that definitions may use. Implementations are
// immutable and safe for concurrent use.
type Catalogue interface {
	// Names returns all step type names, sorted.
	Names() []string
	// Describe returns what the loader must know of a step type.
	Describe(name string) (StepInfo, bool)
}

// StepInfo is the loader's view of a step type.
type StepInfo struct {
	Name   string
	Doc    string
	Config json.RawMessage        // JSON Schema of the with: block; nil: takes none
	Exits  []string               // named exits besides the default
	Check  func(cfg Config) error // strict decode and validation without I/O
}
