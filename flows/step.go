package flows

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Step is one configured step of a flow. It holds configuration only, is made
// once at load and is used by many runs at once; all state lives in the Visit.
//
// A wrong answer is an Outcome, never an error: an error means that the system
// failed ([ErrUnavailable]: a dependency; [ErrMalformed]: the input has not the
// promised form; anything else: a bug) and changes nothing.
type Step interface {
	// Enter is called when a run arrives and may be called again at the same
	// instant after a crash: it must not do anything twice.
	Enter(ctx context.Context, v *Visit) (Outcome, error)
	// Answer is called with the client's answer to the current prompt.
	Answer(ctx context.Context, v *Visit, in Input) (Outcome, error)
}

// Claimer is implemented by steps whose answer names an account (a login). The
// engine resolves the identifier, sets Visit.Claimed, and reserves an attempt
// before Answer sees the secret.
type Claimer interface {
	// Claim returns the identifier in the answer, "" if it has none.
	Claim(in Input) (identifier string, err error)
}

// ErrWithdrawn says that what a step obtained was taken back.
var ErrWithdrawn = errors.New("flows: it was taken back")

// Keeper is implemented by steps that obtain what can be taken back. The engine asks
// those that a run has completed again whenever a relying party trades what it left.
type Keeper interface {
	// Keeps returns nil as long as what the step obtained stands; [ErrWithdrawn].
	Keeps(ctx context.Context, v *Visit) error
}

// StepType is a kind of step: a value, listed once in package steps.
type StepType struct {
	Name   string          // YAML "type", [a-z][a-z0-9_]*
	Doc    string          // first line: title; the rest: manual
	Code   string          // nextStep.type of its prompts, upper snake case, ends in _REQUIRED; "": it never asks
	Config json.RawMessage // JSON Schema of "with:"; see flowdefs.SchemaFor
	Prompt json.RawMessage // JSON Schema of the data of its prompts
	Input  json.RawMessage // JSON Schema of the answer

	Evidence []assurance.Ceiling // the most that it can prove; empty: it proves nothing
	// Ceilings narrows Evidence to what one configured step can prove at most,
	// given the providers that definitions declare. May be nil.
	Ceilings func(cfg flowdefs.Config, providers map[string]*flowdefs.Provider) []assurance.Ceiling
	Exits    []string // named exits besides the default
	// ExitsOf are those of Exits that a step with this configuration can be left by; nil: all.
	ExitsOf func(cfg flowdefs.Config) []string
	Raises  []string // obligations that its outcomes may raise
	// RaisesOf are those of Raises that a step with this configuration can raise; nil: all.
	RaisesOf func(cfg flowdefs.Config) []string

	// Assigns are the names that a step with this configuration assigns when it is
	// done ([Outcome.Assigning]): assigned.NAME in later expressions; nil: none.
	// What their values come from is the server's or a trusted service's word, never
	// the client's, and proofs suppose that it can be anything.
	Assigns func(cfg flowdefs.Config) []string

	// Provider is the name of the provider where a step with this configuration sends
	// people to sign on; nil: it sends them nowhere. Of several options the one is taken
	// silently whose provider has the domain of the name that was claimed.
	Provider func(cfg flowdefs.Config) string

	// Authenticator is the type of the account's authenticator that the step
	// checks ("password", "totp", ...) or, if it enrols, binds; "" if there is none.
	// Attempts are counted per account and this name.
	Authenticator string
	// Guessable is true if the answer is a secret that could be guessed: the
	// engine then reserves an attempt before Answer. Requires Authenticator.
	Guessable bool
	// HardLimit is the number of consecutive failures after which the
	// authenticator stays locked until an administrator acts; 0: the engine's default.
	HardLimit int
	// Token is true if the answer is a token that another server has issued: one that is
	// refused is 401 and [CodeTokenRefused], not a wrong answer of a person.
	Token bool
	// Typed is true if the answer consists of what a person types or ticks: strings
	// and booleans. A page can then take it for a client that cannot draw the prompt.
	Typed bool
	// NeedsDevice is true if the step is offered only on a run whose key belongs to a bound device.
	NeedsDevice bool
	// NeedsSubject is true if the step acts on who was proved to be there: a flow
	// in which a run can come to it before the first proof does not load.
	NeedsSubject bool
	// Alters is true if completing the step may change what the account has: its
	// attributes and roles, or authenticators, such as a code that is used up.
	Alters bool
	// Enrols is true if the step binds an authenticator: it then needs the
	// highest level that the account's active authenticators can reach.
	Enrols bool
	// Removes is true if the step takes authenticators out of use: it then needs
	// what binding one needs, or in a recovery two authenticators, and is the last of its flow.
	Removes bool
	// EndsSessions is true if the account's other sessions end when the step has bound
	// its authenticator: whoever knew the one before it is out (ASVS 5.0 7.4.3). What
	// takes authenticators out of use ends them in any case.
	EndsSessions bool
	// Sends is true if the step sends a message when it is entered ([Visit.Send]):
	// it is then entered again when the client asks for another one.
	Sends bool
	// Links is true if what the step sends holds a link ([Visit.Link]) to a page where
	// who gets it confirms or denies: its steps are [Confirmer]s.
	Links bool

	// Notice is what the account's owner is told when the step is completed; "": what
	// follows from the rest, which is [NoticeAdded] when it has bound an authenticator.
	// The engine tells it: a step cannot forget to.
	Notice Notice

	// Transaction names the members of the run's transaction that a step with this
	// configuration shows and has signed; nil: the type has nothing to do with
	// transactions. A proof of such a step comes with an [Approval], and no other does.
	Transaction func(cfg flowdefs.Config) []string

	// Discovers is true if the proof itself says whose authenticator it is: the
	// step then needs nobody to be named before, and fills in [Proof.Subject].
	Discovers bool

	// Names is true if the answer says who the person is and proves nothing. Such a
	// step is passed over when somebody is named already; its step is a [Claimer].
	Names bool

	// New makes a configured step: strict decode and validation, no I/O.
	New func(cfg flowdefs.Config) (Step, error)
	// Actor makes the answer of a scenario: state is the prompt's data, how is
	// "ok", "wrong" or another word that Doc names. May be nil.
	Actor func(state json.RawMessage, how string) (json.RawMessage, error)
}

// Input is a client's answer: one JSON object, not yet decoded.
type Input json.RawMessage

// Decode fills dst, a pointer to a struct with `json` tags. Duplicate, unknown,
// case-folded and missing keys (those without omitempty), trailing data, and
// wrong types are [ErrMalformed].
func (in Input) Decode(dst any) error { return DecodeStrict(in, dst) }

// Prompt asks the client for something. It is data, so that every client renders every step.
type Prompt struct {
	Data any // rendered as nextStep.data; must not hold a secret; nil: {}
}

// Proof is what a successful answer amounts to.
type Proof struct {
	// Subject is who was proved. Empty: the run's claimed subject (an error of
	// the step if there is none).
	Subject string
	// Evidence: the step fills Method, Authenticator, Device, Categories, the
	// axes, Binding and Cap; the engine fills the rest and checks the ceilings.
	Evidence assurance.Evidence
	// Bound is the type of the authenticator that Evidence is of, if it has come to the
	// account with this proof, by no step of the owner's. It is pending and becomes active
	// with the change that records the proof, and the owner is told; "": none has.
	Bound string
	// Approved is the transaction that the person has signed; nil but for step types with Transaction.
	Approved *Approval
	// Leaves is what the session can use later; nil: nothing.
	Leaves *Leftover
}

// Outcome is what a step decided. Make one with [Ask], [Pass], [Done], [Exit] or [Reject].
type Outcome struct {
	kind     outcomeKind
	prompt   *Prompt
	proof    *Proof
	exit     string
	reason   string
	enrolled string
	removed  []Authenticator
	raises   []string
	assigned map[string]string
	sent     bool // a message is on its way once the change is stored
}

type outcomeKind int

const (
	outcomeNone outcomeKind = iota
	outcomeAsk
	outcomePass
	outcomeDone
	outcomeExit
	outcomeReject
)

// Ask waits for the client. From Answer it asks again without counting a wrong answer (a fresh challenge).
func Ask(p Prompt) Outcome { return Outcome{kind: outcomeAsk, prompt: &p} }

// Pass completes the step with a proof.
func Pass(p Proof) Outcome { return Outcome{kind: outcomePass, proof: &p} }

// Done completes a step that proves nothing (a message, an enrolment).
func Done() Outcome { return Outcome{kind: outcomeDone} }

// Enrolled completes a step that bound the authenticator of that id. It never is evidence in this run.
func Enrolled(authenticator string) Outcome {
	return Outcome{kind: outcomeDone, enrolled: authenticator}
}

// Removed completes a step that takes these authenticators of the subject out of use.
func Removed(these ...Authenticator) Outcome {
	return Outcome{kind: outcomeDone, removed: these}
}

// RemovedIDs returns the ids of what was given to Removed.
func (o Outcome) RemovedIDs() []string {
	var ids []string
	for _, a := range o.removed {
		ids = append(ids, a.ID)
	}
	return ids
}

// Raising adds obligations to an outcome: the run cannot complete until later steps have settled them.
func (o Outcome) Raising(obligations ...string) Outcome {
	o.raises = append(o.raises[:len(o.raises):len(o.raises)], obligations...)
	return o
}

// Assigning adds values to the outcome of a step that is done: all that its type
// says it assigns.
func (o Outcome) Assigning(values map[string]string) Outcome {
	o.assigned = values
	return o
}

// Exit leaves the step by a named exit: it is not completed and proves nothing.
func Exit(name string) Outcome { return Outcome{kind: outcomeExit, exit: name} }

// Reject refuses a wrong answer: the engine counts, audits, and shows the prompt
// again (a nil prompt: unchanged). reason is a closed word for audit and metrics,
// never shown to clients: clients cannot tell why.
func Reject(reason string, again *Prompt) Outcome {
	return Outcome{kind: outcomeReject, reason: reason, prompt: again}
}

// Asked returns the prompt of an outcome made with Ask, else nil.
func (o Outcome) Asked() *Prompt {
	if o.kind != outcomeAsk {
		return nil
	}
	return o.prompt
}

// Again returns the prompt of an outcome made with Reject, nil if it leaves the prompt as it is.
func (o Outcome) Again() *Prompt {
	if o.kind != outcomeReject {
		return nil
	}
	return o.prompt
}

// Passed returns the proof of an outcome made with Pass, else nil.
func (o Outcome) Passed() *Proof { return o.proof }

// IsDone reports whether the step completed without a proof.
func (o Outcome) IsDone() bool { return o.kind == outcomeDone }

// EnrolledID returns the id given to Enrolled, else "".
func (o Outcome) EnrolledID() string { return o.enrolled }

// Raised returns the obligations that the outcome adds.
func (o Outcome) Raised() []string { return o.raises }

// Assigned returns the values given to Assigning.
func (o Outcome) Assigned() map[string]string { return o.assigned }

// Exited returns the exit given to Exit, else "".
func (o Outcome) Exited() string { return o.exit }

// Rejected returns the reason given to Reject and whether the outcome is one.
func (o Outcome) Rejected() (reason string, ok bool) { return o.reason, o.kind == outcomeReject }
