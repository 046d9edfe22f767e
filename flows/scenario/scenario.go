package scenario

import (
	"encoding/json"
	"time"

	"github.com/stile-auth/stile/flowdefs"
)

// Scenario is one document of a scenario file. It is immutable after loading.
type Scenario struct {
	Name  string // unique in its folder
	Start Start  // the first run
	Given Given
	Hurry bool // a throttled answer is shown and not waited for
	Moves []Move
	After *Scenario // played before in the same world; this one begins with its session
	Pos   flowdefs.Pos

	after string
}

// Start starts a run. Exactly one of Flow and Target is set.
type Start struct {
	Flow         string
	Target       string
	Client       string // never empty once loaded
	ACRValues    []string
	MaxAge       *time.Duration
	LoginHint    string
	Provider     string
	Locale       string
	Capabilities []string
	Activate     []string
	Transaction  map[string]string
	NoSession    bool // the session of the run before is not presented
	Pos          flowdefs.Pos
}

// Given is the person, their phone and what the providers know.
type Given struct {
	Account    string            // login; default "jane"
	Has        []string          // types of authenticators, "device" excepted
	Level      string            // at which they were bound: aal1, aal2, aal3; default aal2
	Disabled   bool              // the account may not be used
	MustChange bool              // its password has to be changed
	Attributes map[string]string // of the account
	Device     string            // DeviceKey, DeviceBound, DeviceNone, DeviceAndroid or DeviceIOS
	Providers  map[string]string // by name: the login of who signs in there; default Account
	Calls      map[string]string // by id of a step that asks a web service or a directory: what that answers; "down": nothing
	At         time.Time         // when the scenario begins
}

// What a phone is to a scenario.
const (
	DeviceKey   = "unbound" // default: it has a key, which is bound to no account
	DeviceBound = "bound"   // its key belongs to the account
	DeviceNone  = "none"    // requests carry no proof of a key
	// A phone whose key belongs to the account, and of which its maker has vouched for that.
	DeviceAndroid = "attested-android"
	DeviceIOS     = "attested-ios"
)

// Verb says what a move does.
type Verb string

// The verbs.
const (
	VerbAnswer      Verb = "answer" // Name: the step; Word or Body: how
	VerbPick        Verb = "pick"   // Name: the option
	VerbChooseOther Verb = "choose_other"
	VerbBack        Verb = "back"
	VerbRestart     Verb = "restart"
	VerbCancel      Verb = "cancel"
	VerbResend      Verb = "resend"
	VerbActivate    Verb = "activate" // Name: the step
	VerbAfter       Verb = "after"    // Wait: how much time passes
	VerbProvider    Verb = "provider" // Name: which, "" is all; Up
	VerbBrowser     Verb = "browser"  // Word: what is done on the page of the last link that was sent
	VerbStart       Verb = "start"    // Start: another run, with the session of the one before
	VerbExpect      Verb = "expect"   // Expect
)

// Move is one entry of a scenario's steps.
type Move struct {
	Verb   Verb
	Name   string
	Word   string          // "ok", "wrong" or another that the actor of the step's type knows
	Body   json.RawMessage // the answer itself, instead of Word
	Times  int             // of an answer; at least 1
	Hurry  bool
	Wait   time.Duration
	Up     bool
	Start  Start
	Expect *Expect
	Pos    flowdefs.Pos
}

// Expect is what the last answer must have been. Only what is set is compared.
type Expect struct {
	wants []want
}

// want is one expectation.
type want struct {
	path  []string // into the answer
	value any      // as JSON decodes it; nil: absent or null
	loose bool     // of a mapping only the members that are named count
	pos   flowdefs.Pos
}

// names says whether the expectation speaks of one of these members.
func (e *Expect) names(members ...string) bool {
	for _, w := range e.wants {
		for _, m := range members {
			if w.path[0] == m {
				return true
			}
		}
	}
	return false
}
