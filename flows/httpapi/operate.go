package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
)

// checkTimeout bounds how long a dependency may take to be called ready.
const checkTimeout = 2 * time.Second

type statusBody struct {
	Status      string       `json:"status"`
	Definitions *Definitions `json:"definitions,omitempty"`
}

// Definitions says which definitions are active.
type Definitions struct {
	Hash       string        `json:"hash"` // of all files
	Since      time.Time     `json:"since"`
	LastFailed *FailedReload `json:"lastFailedReload,omitempty"` // nil: none since the start
}

// FailedReload says that other definitions were there and could not be used. What
// was wrong with them is in the log.
type FailedReload struct {
	At       time.Time `json:"at"`
	Problems int       `json:"problems"`
}

// definitions is nil if there is nothing to say of them.
func (a *api) definitions() *Definitions {
	if a.cfg.Definitions == nil {
		return nil
	}
	d := a.cfg.Definitions()
	return &d
}

// health says that the process answers.
func (a *api) health(c *gin.Context) { a.write(c, http.StatusOK, mediaJSON, statusBody{Status: "ok"}) }

// ready says whether flows can be served, and the names of what stands in the
// way. Why goes to the log, since it may say where dependencies live.
func (a *api) ready(c *gin.Context) {
	down, err := a.check(c.Request.Context())
	if err == nil {
		a.write(c, http.StatusOK, mediaJSON, statusBody{Status: "ready", Definitions: a.definitions()})
		return
	}
	f := unavailable(err)
	e := entryOf(c)
	e.code, e.err = f.code, f.err
	p := f.document()
	p.Dependencies, p.Definitions = down, a.definitions()
	a.write(c, f.status, mediaProblem, p)
}

// check asks every dependency, and names those that cannot be used.
func (a *api) check(ctx context.Context) (down []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Ready)) {
		if failed := a.ask(ctx, a.cfg.Ready[name]); failed != nil {
			down = append(down, name)
			err = errors.Join(err, fmt.Errorf("%s: %w", name, failed))
		}
	}
	return down, err
}

func (a *api) ask(ctx context.Context, check Check) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return check(ctx)
}
