package flows

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Visit is what a step may know and use while it is entered or answered. It is
// valid only during the call.
type Visit struct {
	// Idle is true if no attempt is left and the answer is checked for the sake of
	// the time that it takes: whatever comes of it is refused, and nothing may be stored.
	Idle       bool
	RunID      string // public id of the run: not a secret
	Flow       string
	StepID     string
	Turn       int // number of the prompt that is answered; on Enter the number that the next prompt will have
	Attempt    int // how often the run has arrived at this step, from 1
	Now        time.Time
	Client     flowdefs.Client
	Redirect   string // where the browser comes back to, but from providers with a place of their own; "": nowhere
	Locale     string
	Callback   string          // where providers send the browser back to that runs the flow, without the provider's name; "" if the client takes the response
	MaxAge     *time.Duration  // how long ago, at the start of the run, the person may have authenticated; nil: no limit
	Key        string          // RFC 7638 thumbprint of the run's DPoP key, "" if it has none
	Subject    string          // who was proved to be there; "" before the first proof
	Claimed    string          // account that is claimed (equals Subject after the first proof); "" if none, or if unknown
	Identifier string          // what was claimed, as typed; for decoys only
	Level      assurance.Level // what the run has reached so far

	Federated   bool               // a remote provider vouched for the subject in this run
	Transaction map[string]string  // that the client wants approved, in the client's words; nil if there is none
	Messages    *flowdefs.Messages // texts of the definitions

	owner  string
	marks  Marks
	memory *json.RawMessage
	sender courier
	decoy  []byte

	link    **mailedLink // that the run keeps
	linkURL string       // where pages of links are; "": nowhere
}

// NewVisit returns a copy of v that is ready for use outside an engine (tests of
// step types), with an empty memory of its own.
func NewVisit(v Visit, owner string, marks Marks) *Visit {
	v.owner, v.marks, v.memory = owner, marks, new(json.RawMessage)
	v.sender, v.decoy = &outbox{next: v.Now.Add(time.Minute)}, []byte(v.Identifier)
	v.link, v.linkURL = new(*mailedLink), "https://stile.test/link"
	return &v
}

// Owner identifies this run, turn and input: the holder of a one-time mark.
// The same request repeated has the same owner.
func (v *Visit) Owner() string { return v.owner }

// Keep stores the step's own memory until the run leaves the step; a rejected
// answer leaves it in place unless the step keeps something else. It is sealed
// at rest and never shown to clients.
func (v *Visit) Keep(memory any) error {
	data, err := json.Marshal(memory)
	if err != nil {
		return fmt.Errorf("flows: memory of step %s: %w", v.StepID, err)
	}
	*v.memory = data
	return nil
}

// Kept reads what Keep stored; [ErrNotFound] if nothing.
func (v *Visit) Kept(dst any) error {
	if len(*v.memory) == 0 {
		return ErrNotFound
	}
	return json.Unmarshal(*v.memory, dst)
}

// Once takes a one-time mark. The same owner may take it again, so that a crash
// never burns a person's code; anybody else gets [ErrTaken]. With exclusive not
// even the same owner may: for effects that must not be repeated.
func (v *Visit) Once(ctx context.Context, mark string, ttl time.Duration, exclusive bool) error {
	owner := v.owner
	if exclusive {
		owner = rand.Text()
	}
	sum := sha256.Sum256([]byte(mark)) // a mark may be named after what nobody must read
	return v.marks.TakeMark(ctx, "step/"+hex.EncodeToString(sum[:]), owner, v.Now, v.Now.Add(ttl))
}
