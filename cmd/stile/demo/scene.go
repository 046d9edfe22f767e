package demo

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// StepError says at which numbered step the story left its path.
type StepError struct {
	Run   int // from 1
	Step  int // from 1, within the run
	Title string
	Err   error
}

// Error names the step first.
func (e *StepError) Error() string {
	return fmt.Sprintf("run %d, step %d (%s): %v", e.Run, e.Step, e.Title, e.Err)
}

// Unwrap returns what was wrong.
func (e *StepError) Unwrap() error { return e.Err }

// A step is one numbered step: the exchange that it waits for, and what that must say.
type step struct {
	title string
	on    func(*memory, moment) bool
	check func(*memory, moment) ([]string, error) // the lines to print
}

// A moment is an exchange that is about to begin or has just ended.
type moment struct {
	app.Exchange
	answered bool
}

// scene is one run of a flow as it should go.
type scene struct {
	run   int
	title string
	steps []step
	// forbidden refuses what must not happen in this run. Optional.
	forbidden func(*memory, moment) error
}

var errCut = errors.New("demo: the story has ended")

// director watches every exchange, prints the steps as they come, and stops
// the story at the first that is wrong. Safe for concurrent use: the server's
// requests to the provider pass here while the app waits for its answer.
type director struct {
	show func(scene, int, step, []string) error // prints one step

	mu     sync.Mutex
	scene  scene
	next   int
	memory *memory
	failed *StepError
}

// begin starts a scene. What was remembered of earlier ones stays.
func (d *director) begin(s scene) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scene, d.next = s, 0
	d.memory.newRun()
}

// see takes in one moment. An error means that the exchange must not go on.
func (d *director) see(m moment) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return errCut
	}
	d.memory.note(m)
	if d.scene.forbidden != nil {
		if err := d.scene.forbidden(d.memory, m); err != nil {
			return d.fail(err)
		}
	}
	for d.next < len(d.scene.steps) {
		s := d.scene.steps[d.next]
		if !s.on(d.memory, m) {
			return nil
		}
		lines, err := s.check(d.memory, m)
		if err == nil {
			err = d.show(d.scene, d.next+1, s, lines)
		}
		if err != nil {
			return d.fail(err)
		}
		d.next++
	}
	return nil
}

func (d *director) fail(err error) error {
	title := "after the last step"
	if d.next < len(d.scene.steps) {
		title = d.scene.steps[d.next].title
	}
	d.failed = &StepError{Run: d.scene.run, Step: min(d.next+1, len(d.scene.steps)), Title: title, Err: err}
	return d.failed
}

// end says how the scene went: err is how it ended for the app.
func (d *director) end(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	if err == nil && d.next < len(d.scene.steps) {
		err = errors.New("it did not happen")
	}
	if err != nil {
		return d.fail(err)
	}
	return nil
}

// memory is what the exchanges so far have told.
type memory struct {
	discovery map[string]any // of the provider
	request   map[string]any // the authorization request's parameters
	pushed    map[string]any // those that went to the provider directly (RFC 9126)
	provider  string         // the authorization endpoint
	redirect  string         // the app's redirect URI
	forms     []string       // what the browser has sent, in short form
	returned  string         // the query that came back with the redirect
	tokens    map[string]any // the provider's answer
	keysRead  bool           // the provider's keys were fetched
	view      view           // the last of Stile's answers
	token     string         // the last propagated one
	session   string
	seen      []string // types of nextStep in this run
	wrong     []string // answers of this run that were refused and may be repeated
}

func (m *memory) newRun() {
	m.request, m.pushed, m.forms, m.returned, m.tokens, m.view, m.seen, m.wrong = nil, nil, nil, "", nil, view{}, nil, nil
}

// note keeps what later steps compare with.
func (m *memory) note(x moment) {
	switch {
	case x.Who == whoClient && x.answered && m.endpoint("jwks_uri") == x.URL:
		m.keysRead = x.Status == http.StatusOK
	case x.Who == whoClient && !x.answered && m.endpoint("pushed_authorization_request_endpoint") == x.URL:
		m.pushed = pushed(x)
	case x.Who == whoBrowser && !x.answered && x.Method == http.MethodPost:
		m.forms = append(m.forms, formLine(x.Exchange))
	case x.Who == whoApp && x.answered && strings.Contains(x.URL, "/v1/flow"):
		v, err := viewOf(x.ResponseBody)
		if err != nil {
			return // no view; the step that waits for one says so
		}
		if x.Status == http.StatusUnprocessableEntity {
			m.wrong = append(m.wrong, fmt.Sprintf("%d  %s; the app waits for the next code", x.Status, v.Code))
		}
		m.view = v
		if x.Status < 300 && v.NextStep != nil {
			m.seen = append(m.seen, v.NextStep.Type)
		}
		if v.Result != nil {
			m.session = v.Result.Session
			m.token = v.Result.Grant.Token
		}
	}
}

// takeWrong returns the refused answers since it was last called.
func (m *memory) takeWrong() []string {
	all := m.wrong
	m.wrong = nil
	return all
}

func (m *memory) endpoint(name string) string {
	text, _ := m.discovery[name].(string)
	return text
}
