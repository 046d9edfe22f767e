package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stile-auth/stile/flows"
)

// apiPrefix begins the paths of the flow API: what browsers may call from
// elsewhere, if a client allows their origin.
const apiPrefix = "/v1/"

type api struct {
	cfg      Config
	metrics  *metrics
	limits   *limiter
	notFound []byte    // the one answer for every handle that is not right
	buffers  sync.Pool // of *bytes.Buffer, for answers
}

// New makes the handler. It is safe for concurrent use; a configuration error
// names every mistake.
func New(cfg Config) (http.Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = defaultMaxBody
	}
	if cfg.Poll == 0 {
		cfg.Poll = defaultPoll
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	a := &api{cfg: cfg, metrics: m, limits: newLimiter(cfg.Limit, cfg.Now), buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	if a.notFound, err = renderNotFound(); err != nil {
		return nil, err
	}
	return a.routes()
}

func (a *api) routes() (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode) // otherwise gin prints routes and warnings
	r := gin.New()
	if err := r.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false // one spelling per path
	r.UseEscapedPath = true         // "%66low" is not "flow": proofs name the path as it is sent
	r.UnescapePathValues = false
	r.Use(a.around)
	r.NoRoute(a.noRoute)
	r.NoMethod(a.noMethod)

	r.POST("/v1/flows", a.limited(a.serve(operation{body: bodyRequired, status: http.StatusCreated, do: a.start}), true))
	r.GET("/v1/flow", a.limited(a.serve(operation{scheme: schemeFlow, waits: true, do: a.show}), false))
	r.GET("/v1/flow/events", a.limited(a.serve(operation{scheme: schemeFlow, answer: a.events}), false))
	r.DELETE("/v1/flow", a.limited(a.serve(operation{scheme: schemeFlow, do: a.cancel}), false))
	r.POST("/v1/flow/steps/:stepId", a.limited(a.serve(operation{scheme: schemeFlow, turn: true, body: bodyRequired, do: a.answer}), false))
	r.POST("/v1/flow/activate", a.limited(a.serve(operation{scheme: schemeFlow, turn: true, body: bodyRequired, do: a.activate}), false))
	r.POST("/v1/flow/back", a.limited(a.serve(operation{scheme: schemeFlow, turn: true, body: bodyEmpty, do: a.back}), false))
	r.POST("/v1/flow/resend", a.limited(a.serve(operation{scheme: schemeFlow, turn: true, body: bodyEmpty, do: a.resend}), false))
	r.POST("/v1/flow/hand_over", a.limited(a.serve(operation{scheme: schemeFlow, turn: true, body: bodyEmpty, do: a.handOver}), false))
	r.POST("/v1/flow/restart", a.limited(a.serve(operation{scheme: schemeFlow, turn: true, body: bodyEmpty, status: http.StatusCreated, do: a.restart}), false))
	r.DELETE("/v1/session", a.limited(a.serve(operation{scheme: schemeSession, answer: a.signOut}), false))

	a.routeLogouts(r)
	r.GET("/healthz", a.health)
	r.GET("/readyz", a.ready)
	r.GET("/metrics", gin.WrapH(a.metrics.handler))
	description, err := a.describe()
	if err != nil {
		return nil, err
	}
	r.GET("/openapi.json", description)
	if a.cfg.Pages != nil {
		for _, path := range []string{"/handover", "/handover/:link", "/link/:link", "/sign-in", "/v1/callback/:provider"} {
			r.GET(path, a.limited(gin.WrapH(a.cfg.Pages), false))
			r.POST(path, a.limited(gin.WrapH(a.cfg.Pages), false))
		}
	}
	if a.cfg.OAuth != nil {
		starts, server := a.limited(gin.WrapH(a.cfg.OAuth), true), a.limited(gin.WrapH(a.cfg.OAuth), false)
		r.GET("/oauth2/authorize", starts) // each makes a run, as POST /v1/flows does
		r.POST("/oauth2/authorize", starts)
		for _, path := range []string{"/oauth2/userinfo", "/oauth2/logout"} {
			r.GET(path, server)
			r.POST(path, server)
		}
		for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect"} {
			r.POST(path, server)
		}
	}
	for path, h := range a.cfg.WellKnown {
		r.GET(path, gin.WrapH(h))
	}
	return r, nil
}

// operation says what a call must look like and what it does.
type operation struct {
	scheme string // of the Authorization that it needs; without one the call starts a run
	turn   bool   // needs ?turn=N; otherwise there must be no query
	waits  bool   // can wait for a change, if the caller prefers that
	body   bodyRule
	status int // of success; 0: 200
	do     func(ctx context.Context, q *request) (flows.View, error)
	answer func(c *gin.Context, q *request) // instead of do: what is not answered with one view
}

// The schemes of Authorization. What follows is a secret of 32 bytes.
const (
	schemeFlow    = "Flow"
	schemeSession = "Session"
)

func (a *api) serve(op operation) gin.HandlerFunc {
	if op.status == 0 {
		op.status = http.StatusOK
	}
	return func(c *gin.Context) {
		q, f := a.read(c, op)
		switch {
		case f == nil:
		case f.refusal:
			a.refuse(c, op, q, f)
			return
		default:
			a.fail(c, f)
			return
		}
		if op.answer != nil {
			op.answer(c, q)
			return
		}
		entryOf(c).waited = q.wait > 0
		view, err := op.do(c.Request.Context(), q)
		if err != nil {
			a.fail(c, failureOf(err))
			return
		}
		if q.wait > 0 {
			c.Header("Preference-Applied", "wait="+strconv.Itoa(int(q.wait/time.Second)))
		}
		a.succeed(c, op.status, &view)
	}
}

func (a *api) start(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.Start(ctx, q.caller, q.start)
}

func (a *api) answer(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.Answer(ctx, q.handle, q.caller, q.stepID, q.turn, flows.Input(q.body))
}

func (a *api) activate(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.Activate(ctx, q.handle, q.caller, q.turn, flows.Input(q.body))
}

func (a *api) back(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.Back(ctx, q.handle, q.caller, q.turn)
}

func (a *api) resend(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.Resend(ctx, q.handle, q.caller, q.turn)
}

func (a *api) handOver(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.HandOver(ctx, q.handle, q.caller, q.turn)
}

func (a *api) restart(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.Restart(ctx, q.handle, q.caller, q.turn)
}

func (a *api) cancel(ctx context.Context, q *request) (flows.View, error) {
	return a.cfg.Engine.Cancel(ctx, q.handle, q.caller)
}

// signOut ends a session. Whether there was one, and whose, is not said, but for where
// the person signs out of what it rested on.
func (a *api) signOut(c *gin.Context, q *request) {
	to, err := a.cfg.Engine.SignOut(c.Request.Context(), q.handle, q.caller)
	if err != nil {
		a.fail(c, failureOf(err))
		return
	}
	a.dropCookies(c)
	if to != nil {
		a.write(c, http.StatusOK, mediaJSON, to)
		return
	}
	c.Writer.WriteHeader(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
}
