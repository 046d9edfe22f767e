package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json" // exact member names, no member twice
)

// The answers of the flow API, as its contract states them. Members that are
// not listed are ignored: later versions may add some.
type view struct {
	Flow struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		Status    string    `json:"status"`
		Turn      int       `json:"turn"`
		ExpiresAt time.Time `json:"expiresAt"`
	} `json:"flow"`
	Handle    string  `json:"handle"`
	NextStep  *step   `json:"nextStep"`
	Result    *result `json:"result"`
	Assurance struct {
		ACR *string  `json:"acr"`
		AMR []string `json:"amr"`
	} `json:"assurance"`
}

type step struct {
	Type    string          `json:"type"`
	StepID  string          `json:"stepId"`
	Data    json.RawMessage `json:"data"`
	Actions []action        `json:"actions"`
}

type action struct {
	Name   string          `json:"name"`
	Method string          `json:"method"`
	Href   string          `json:"href"`
	Schema json.RawMessage `json:"schema"`
}

type result struct {
	Session          string    `json:"session"`
	SessionExpiresAt time.Time `json:"sessionExpiresAt"`
	Grant            *struct {
		Type      string    `json:"type"`
		Token     string    `json:"token"`
		Scheme    string    `json:"scheme"`
		ExpiresAt time.Time `json:"expiresAt"`
	} `json:"grant"`
}

// parseView reads an answer and checks that it has the shape that the
// contract promises.
func parseView(body []byte) (view, error) {
	var v view
	if err := json.Unmarshal(body, &v); err != nil {
		return view{}, fmt.Errorf("app: the answer is no view: %w", err)
	}
	return v, v.check()
}

func (v view) check() error {
	if v.Flow.ID == "" || v.Flow.ExpiresAt.IsZero() {
		return errors.New("app: the view does not name its flow")
	}
	switch v.Flow.Status {
	case "in_progress":
		if v.NextStep == nil || v.Result != nil {
			return errors.New("app: a run in progress must have a nextStep and no result")
		}
		return v.NextStep.check()
	case "completed":
		if v.NextStep != nil || v.Result == nil {
			return errors.New("app: a completed run must have a result and no nextStep")
		}
		return v.Result.check()
	}
	return fmt.Errorf("app: the run has the status %q", v.Flow.Status)
}

func (s *step) check() error {
	if !strings.HasSuffix(s.Type, "_REQUIRED") || s.StepID == "" {
		return fmt.Errorf("app: nextStep has the type %q and the stepId %q", s.Type, s.StepID)
	}
	for _, a := range s.Actions {
		if a.Name == "" || a.Method == "" || a.Href == "" {
			return fmt.Errorf("app: %s: an action lacks its name, method or href", s.Type)
		}
	}
	return nil
}

func (r *result) check() error {
	if r.Session == "" || r.SessionExpiresAt.IsZero() {
		return errors.New("app: a completed run must leave a session")
	}
	if g := r.Grant; g != nil && (g.Type == "" || g.Token == "" || g.ExpiresAt.IsZero()) {
		return errors.New("app: the grant lacks its type, token or expiry")
	}
	return nil
}

// action finds an action by its name.
func (s *step) action(name string) (action, bool) {
	for _, a := range s.Actions {
		if a.Name == name {
			return a, true
		}
	}
	return action{}, false
}

// forward finds the action that goes on: submit or select, or in a step with
// other words the only action that is not one of the ways out.
func (s *step) forward() (action, error) {
	for _, name := range []string{"submit", "select"} {
		if a, ok := s.action(name); ok {
			return a, nil
		}
	}
	var found []action
	for _, a := range s.Actions {
		switch a.Name {
		case "back", "restart", "cancel", "choose_other", "activate", "resend":
		default:
			found = append(found, a)
		}
	}
	if len(found) != 1 {
		return action{}, fmt.Errorf("app: none of the %d actions is the one to take", len(s.Actions))
	}
	return found[0], nil
}

// data reads the step's data.
func (s *step) data(into any) error {
	if len(s.Data) == 0 {
		return nil
	}
	if err := json.Unmarshal(s.Data, into); err != nil {
		return fmt.Errorf("app: data of nextStep: %w", err)
	}
	return nil
}
