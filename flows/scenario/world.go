package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Host makes the worlds that scenarios are played in.
type Host struct {
	Definitions *flowdefs.Set
	// Open makes one world for one scenario. It is called from many goroutines.
	Open func(ctx context.Context, c Cast) (*World, error)
}

// Cast is what a world has to have.
type Cast struct {
	Given Given
	Flows []*flowdefs.Flow // that the scenario starts
	HTTP  bool             // the world is used through its Handler
	Clock *Clock           // the only clock of the world
}

// World is an engine with everything around it, for one scenario.
type World struct {
	Engine  *flows.Engine
	Handler http.Handler // the API on that engine; required if Cast.HTTP
	BaseURL string       // external origin of the API
	Phone   Phone        // signs DPoP proofs; nil: requests carry none
	Actors  map[string]Actor
	Lookup  func(typ string) (flows.StepType, bool)
	Outbox  func() []flows.Message // what was sent so far, the oldest first; nil: nothing ever
	// Browse opens the page of a hand-over in a browser, fills in its form, and
	// returns the query of the redirect to the app. May be nil: nobody can.
	Browse func(ctx context.Context, uri string, typed map[string]string) (query string, err error)
	// Press opens the page of a link that was sent, presses the button of that name
	// ("": none), and returns what the page then shows in bold. May be nil: nobody can.
	Press    func(ctx context.Context, uri, button string) (shown string, err error)
	Provider func(name string, up bool) error // makes a provider unreachable, or reachable again; may be nil
	Events   func(ctx context.Context) ([]flows.Event, error)
	Close    func() error
}

func (w *World) check(http bool) error {
	if w.Engine == nil || w.Lookup == nil || w.Events == nil || w.Close == nil || http && w.Handler == nil {
		return errors.New("scenario: the world lacks an engine, a handler, step types, events or its end")
	}
	return nil
}

// Phone is the key that requests prove.
type Phone interface {
	// Thumbprint is the RFC 7638 thumbprint of the key.
	Thumbprint() string
	// Proof makes a DPoP proof (RFC 9449) for one request.
	Proof(method, url, accessToken, nonce string) (string, error)
}

// Actor makes the answer to a prompt: what the person and their phone would
// send. A word that it does not know is an error that names those it knows. An
// actor goes before the step type's own.
type Actor func(ctx context.Context, p Prompt) (json.RawMessage, error)

// Prompt is what an actor answers.
type Prompt struct {
	Step   string
	Data   json.RawMessage
	Word   string
	Client string
	Shown  string // what the page of a link has shown last, "" if nothing
}

// Clock is virtual time. Safe for concurrent use.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock returns a clock that stands at an instant.
func NewClock(at time.Time) *Clock { return &Clock{at: at} }

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Pass lets time pass.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
