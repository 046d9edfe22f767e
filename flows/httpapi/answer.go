package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/flows"
)

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// succeed answers with a view.
func (a *api) succeed(c *gin.Context, status int, v *flows.View) {
	entryOf(c).run = v.Flow.ID
	a.metrics.count(status, v)
	a.setCookie(c, v.Result)
	a.write(c, status, mediaJSON, v)
}

// fail answers with a problem document.
func (a *api) fail(c *gin.Context, f *failure) {
	e := entryOf(c)
	e.code, e.err = f.code, f.err
	if f.close {
		c.Header("Connection", "close")
	}
	if f.status == http.StatusNotFound {
		// Whatever else is known, the answer is the same.
		e.code = flows.CodeNotFound
		a.send(c, f.status, mediaProblem, a.notFound)
		return
	}
	if f.view != nil {
		e.run = f.view.Flow.ID
		a.metrics.countFailure(f)
	}
	if s := seconds(f.retryAfter); s > 0 {
		c.Header("Retry-After", strconv.FormatInt(s, 10))
	}
	if f.status == http.StatusUnauthorized { // RFC 9110 §15.5.2
		c.Header("WWW-Authenticate", "Flow")
	}
	a.write(c, f.status, mediaProblem, f.document())
}

// refuse records a request whose work the engine is not given, and answers it.
// What cannot be recorded is not answered: see [flows.Recorder]. Whose handle is
// right is told where the run stands.
func (a *api) refuse(c *gin.Context, op operation, q *request, f *failure) {
	// A client that hangs up must not be able to keep its request off the record.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request.Context()), 5*time.Second)
	defer cancel()
	reason := f.reason
	if reason == "" {
		reason = f.code
	}
	if err := a.cfg.Engine.Refuse(ctx, q.caller, reason); err != nil {
		a.fail(c, unavailable(err))
		return
	}
	if f.status != http.StatusNotFound && op.scheme == schemeFlow && q.handle != "" {
		f.view = a.standing(c, op, q)
	}
	a.fail(c, f)
}

// standing is the view of the run that a refused request is about; nil if its
// handle or proof is not right either.
func (a *api) standing(c *gin.Context, op operation, q *request) *flows.View {
	if a.readProof(c, op, q) != nil {
		return nil
	}
	return a.cfg.Engine.Standing(c.Request.Context(), q.handle, q.caller)
}

// write encodes first and answers then: a value that cannot be encoded becomes
// a clean failure and not half an answer.
func (a *api) write(c *gin.Context, status int, media string, v any) {
	buf := a.buffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer a.release(buf)
	if err := encode(buf, v); err != nil {
		f := internal(err)
		e := entryOf(c)
		e.code, e.err = f.code, err
		status, media = f.status, mediaProblem
		buf.Reset()
		if err := encode(buf, f.document()); err != nil {
			e.err = errors.Join(e.err, err)
		}
	}
	a.send(c, status, media, buf.Bytes())
}

// release clears a buffer, which may have held a secret, for its next use.
func (a *api) release(buf *bytes.Buffer) {
	const keep = 64 << 10 // larger ones are rare and left to the collector
	clear(buf.Bytes())
	if buf.Cap() <= keep {
		a.buffers.Put(buf)
	}
}

func (a *api) send(c *gin.Context, status int, media string, body []byte) {
	h := c.Writer.Header()
	h["Content-Type"] = []string{media}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.Writer.WriteHeader(status)
	if _, err := c.Writer.Write(body); err != nil {
		a.cfg.Logger.Debug("answer not delivered", zap.String("request_id", entryOf(c).id))
	}
}

func (a *api) noRoute(c *gin.Context) {
	entryOf(c).code = CodeNoRoute
	f := failure{status: http.StatusNotFound, code: CodeNoRoute, detail: "There is nothing at this path."}
	a.write(c, f.status, mediaProblem, f.document())
}

// noMethod answers preflights of allowed origins, and refuses the rest. The
// router has set Allow to what the path has.
func (a *api) noMethod(c *gin.Context) {
	if a.preflight(c) {
		return
	}
	a.fail(c, &failure{status: http.StatusMethodNotAllowed, code: CodeMethod, detail: "This path has other methods."})
}
