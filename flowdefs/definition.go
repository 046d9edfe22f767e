package flowdefs

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// Set is everything that one directory of definitions declares. It is immutable after loading.
type Set struct {
	Flows       map[string]*Flow
	Targets     map[string]*Target
	Providers   map[string]*Provider
	Directories map[string]*Directory
	Clients     map[string]*Client
	// ClientSources are where other clients stand, and what those may have at most.
	ClientSources map[string]*ClientSource
	Levels        assurance.Scales // the built-in scales, then those that are declared, by name
	Asked         []*Condition     // what the declared ones ask of evidence
	Messages      *Messages
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
	Kind        FlowKind // default SignIn
	Steps       []Node
	Handlers    []Handler     // reached only by exits; sorted by name
	Requires    Requirement   // what the session must have reached for the flow to start; only SelfService
	NoBack      bool          // clients may not go back
	NoRestart   bool          // clients may not restart
	Timeout     time.Duration // life of a run; 0: the engine's default
	Guarantees  []Guarantee   // in the order of the definition
	Source      []byte        // canonical text; [Parse] of it gives an equal Flow
	Hash        string        // lower-case hex SHA-256 of Source: the identity that a run pins
	Pos         Pos
}

// FlowKind says what a flow is for.
type FlowKind string

// The kinds of flows.
const (
	SignIn        FlowKind = "sign_in"       // default
	Authorization FlowKind = "authorization" // runs behind the sign-in of targets that name it
	Registration  FlowKind = "registration"
	Recovery      FlowKind = "recovery"     // what it reaches is capped at the lowest level
	SelfService   FlowKind = "self_service" // needs a session
	Transaction   FlowKind = "transaction"
)

// Handler is what an exit leads to: a sequence outside the flow's own. Its end fails the run.
type Handler struct {
	Name  string
	Steps []Node
	Pos   Pos
}

// Kind says what a node does.
type Kind int

// The kinds of nodes.
const (
	Step    Kind = iota // runs a step of Type with With
	Choose              // lets the client pick one of Options, or Any of them
	Require             // a guard: false or an error fails the run
	Group               // an option of several Steps
	Goto                // goes on at the node To, at most Max times
	Fail                // fails the run with Code
	Abort               // ends the run as if the client had cancelled it
	Tag                 // sets and removes tags
	Oblige              // raises the obligation Name
	Decide              // leaves by the exit that Value names
	Assign              // sets run-scoped values
	Delay               // lets time pass, without holding a request
)

// DefaultAttempts is how many wrong answers a step takes in one run if its
// definition does not say.
const DefaultAttempts = 5

// Resend is how often a step sends again what it sends, and how long the client
// has to wait before: Every before the first time, and twice as long each time after.
type Resend struct {
	Max   int
	Every time.Duration
}

// DefaultResend is how a step sends again if its definition does not say.
func DefaultResend() Resend { return Resend{Max: 3, Every: 30 * time.Second} }

// Wait is how long the client has to wait for the nth message after the first, from 1.
func (r Resend) Wait(n int) time.Duration { return r.Every << min(max(n-1, 0), maxResend) }

// Node is one entry of a flow's step list.
type Node struct {
	Kind       Kind
	ID         string // unique in its flow; of Step, Choose, Group, Decide and Delay
	If         *Condition
	Type       string            // Step: name of the step type
	With       Config            // Step: its configuration, already validated; never nil for Step
	ConfigHash string            // Step: hex SHA-256 of the canonical form of Type and With
	Attempts   int               // Step: wrong answers after which the step is exhausted in this run; 0: DefaultAttempts
	Timeout    time.Duration     // Step: how long a prompt is good for; 0: as long as the run
	Resend     *Resend           // Step that sends something; nil: DefaultResend
	Activate   bool              // Step: runs only if the client asked for it
	Settles    []string          // Step: obligations that its completion settles
	On         map[string]string // Step, Choose, Decide: exit to handler
	Options    []Node            // Choose: at least one; each is a Step, a Choose or a Group
	Otherwise  *Node             // Choose: taken when no option is left; may be nil
	Any        int               // Choose: how many options have to be completed; at least 1
	Steps      []Node            // Group
	Require    *Condition        // Require
	To         string            // Goto: id of a node of the flow's own sequence
	Max        int               // Goto: how often it may be taken in one run
	Counts     bool              // Goto: taking it counts as a wrong answer to To
	Code       string            // Fail
	Set        []string          // Tag
	Remove     []string          // Tag
	For        time.Duration     // Tag: life of what is set; 0: as long as the run
	Name       string            // Oblige
	Value      *Condition        // Decide: a string
	Values     []Assignment      // Assign, sorted by name
	Wait       time.Duration     // Delay
	Pos        Pos
}

// Resends is how often the step sends again.
func (n *Node) Resends() Resend {
	if n.Resend == nil {
		return DefaultResend()
	}
	return *n.Resend
}

// Assignment gives a run-scoped value: assigned.<Name> in later expressions.
type Assignment struct {
	Name  string
	Value *Condition // a string
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
	Authorize []string // flows of the kind Authorization that run behind Flow, in order
	Composed  *Flow    // what a run for the target runs: Flow, or Flow with Authorize behind it
	Requires  Requirement
	Enrol     string      // flow by which somebody who cannot reach Requires becomes able to; "": none
	Scale     string      // whose levels its tokens speak of
	Propagate []Propagate // the first whose If holds counts; at least one
	Pos       Pos
}

// Requirement is what a target asks of a run.
type Requirement struct {
	ACR    string        // name of a level of any scale; "": nothing asked
	MaxAge time.Duration // 0: no limit
}

// Propagate says what a completed run for a target turns into.
type Propagate struct {
	If       *Condition // nil: always
	Type     string     // [BearerJWT], [HeaderJWT], ...
	Provider string     // of provider_token: whose access token it is
	Header   string     // of header: the name of the request header
	Cookie   *Cookie    // of cookie
	Redeemer string     // of one_time_code: id of the client that trades the code
	Audience string
	TTL      time.Duration         // 0: the propagator's default
	Claims   map[string]*Condition // claim name to an expression of any type; reserved names do not load
	Pos      Pos
}

// Provider is a remote OpenID or plain OAuth 2.0 provider.
type Provider struct {
	Name        string
	Preset      string // whose ways it has; "": none
	Issuer      string // of a plain OAuth 2.0 provider: what links to its people name
	TokenIssuer string // with {tenantid}, of a provider with an issuer for each tenant; else ""
	Tenants     []string
	Endpoints   *Endpoints // stated by hand; nil: found by discovery
	User        *UserInfo  // what the UserInfo of a plain OAuth 2.0 provider calls things; nil: OpenID
	TokenInfo   *TokenInfo // says of access tokens whom they were issued to; nil: nothing does
	ClientID    string
	Credentials Credentials
	Scopes      []string
	Algorithms  []string // of ID tokens; none: those that package oidcclient takes by itself
	UserInfo    bool     // ask for what the ID token does not say
	Mode        string   // response_mode; "": query
	Push        string   // par: always, never; "": where the provider takes pushed requests
	DPoP        bool     // tokens are bound to a key of each sign-on
	// FrontChannel lets pages of the provider end sessions in the browser of whoever
	// signs out there (OpenID Connect Front-Channel Logout 1.0).
	FrontChannel bool
	SignsOut     bool // who signs out here is led there, to sign out too (RP-Initiated Logout 1.0)
	KeepTokens   bool // its tokens are kept, sealed, with the session
	Request      RequestExtras
	Codes        ErrorCodes
	Response     string      // parameter of the answer that holds a JSON object; "": none
	Attributes   []Attribute // of accounts, by name; empty: at the first sign-on the address, if it was verified
	Groups       *Groups     // nil: roles do not follow from it
	Update       Update      // default of Attributes
	Provision    Provision
	// Authoritative are the domains, exactly, whose verified addresses link an unknown
	// identity to the account that has proved to have that address; empty: none do.
	Authoritative []string
	// Domains are whose people sign on here: a choose takes the provider silently that
	// has the domain of the name that was claimed.
	Domains    []string
	Categories []assurance.Category // what a sign-on proves that no mapping fits; default {knowledge}
	Cap        assurance.Level      // most that it is trusted for, whatever it says; default AAL1
	Mapping    []Mapping            // what it says to what that proves; the first that fits counts
	Pos        Pos
}

// OAuth2 reports a plain OAuth 2.0 provider: it makes no ID tokens.
func (p *Provider) OAuth2() bool { return p.User != nil }

// Endpoints are those of a provider, stated by hand.
type Endpoints struct {
	Authorization, Token string
	Keys                 string // "": of a plain OAuth 2.0 provider
	UserInfo             string
	Push                 string
	Introspection        string
	Revocation           string
	EndSession           string
}

// UserInfo says what a plain OAuth 2.0 provider calls things: names with dots lead into objects.
type UserInfo struct {
	Subject       string
	Email         string // "": it says none
	EmailVerified string // "": nothing says so
	// More are further questions: claim to the address that answers it.
	More map[string]string
}

// TokenInfo is where a provider says whom an access token was issued to, and in what
// words: names with dots lead into objects.
type TokenInfo struct {
	Endpoint  string
	Parameter string   // of the query: the token
	App       []string // members that name the app
	Subject   string
	Expires   string
	Valid     string // "": the status says it
	AppToken  bool   // it wants the client's id and secret as a bearer token
}

// Credentials are how Stile proves to a provider who it is. What the keys are is kept elsewhere.
type Credentials struct {
	Method      string     // "": by what there is and the provider's metadata
	Secret      *SecretRef // client_secret; nil: none
	Key         *SecretRef // of assertions, of a signed secret, or of the certificate: PEM
	KeyID       string
	Team        string     // who a signed secret comes from
	Certificate *SecretRef // PEM, with what leads to its root
	AtToken     bool       // assertions are addressed to the token endpoint, not to the issuer
}

// RequestExtras are what authorization requests say besides.
type RequestExtras struct {
	Claims     map[string]any // the claims parameter (OpenID Connect Core §5.5)
	DomainHint string
	Prompt     string
	Parameters map[string]string
}

// ErrorCodes are words of a provider's own for what others say in the words of the standards.
type ErrorCodes struct {
	Spent     []string // the code is no good
	Cancelled []string // the person did not want to
}

// Mapping says what a sign-on proves of which a provider says something in its own words.
type Mapping struct {
	ACR               []string // its acr is one of these; empty: any, or none
	AMR               []string // its amr has all of these
	Categories        []assurance.Category
	Grants            []string // our own amr values that it stands for
	ReplayResistant   bool
	PhishingResistant bool
	Cap               assurance.Level // within the provider's
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
	// ProviderRedirects are redirect URIs of providers that have one of their own, by name.
	ProviderRedirects map[string]string
	Origins           []string // CORS; default none
	DPoPRequired      bool
	SignedOutURI      string // where the browser comes back to from signing out at a provider; exact
	OAuth             *OAuth // nil: it is no relying party of the authorization server
	// Requires is what its runs have to reach besides what their targets ask for, the
	// client's own and that of where it stands; each may ask for nothing.
	Requires, Least Requirement
	TTL             time.Duration // how long its access tokens are good at most; 0: no limit of its own
	HandOver        bool          // what the app cannot draw is drawn by a page of the server, in the browser
	Pos             Pos
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
	Never  []string               // of the engine's exits those that its steps cannot be left by
	Sends  bool                   // its steps send something: resend limits how often
	Last   bool                   // nothing may follow its steps
	Signs  bool                   // its steps show the transaction of the run: they stand in flows of that kind alone
	Check  func(cfg Config) error // strict decode and validation without I/O
	// Provider is the name of the provider where a step sends people to sign on; nil: it sends them nowhere.
	Provider func(cfg Config) string
}
