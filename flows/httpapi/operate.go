package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// readyTimeout bounds how long a dependency may take to be called ready.
const readyTimeout = 3 * time.Second

// health says that the process answers.
func (a *api) health(c *gin.Context) { a.write(c, http.StatusOK, mediaJSON, statusBody{Status: "ok"}) }

// ready says whether flows can be served; what stands in the way goes to the
// log, since its text may say where dependencies live.
func (a *api) ready(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
	defer cancel()
	if err := a.cfg.Engine.Ready(ctx); err != nil {
		a.fail(c, unavailable(err))
		return
	}
	a.write(c, http.StatusOK, mediaJSON, statusBody{Status: "ready"})
}

type statusBody struct {
	Status string `json:"status"`
}
