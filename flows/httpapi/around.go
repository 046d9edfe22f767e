package httpapi

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// entry is what the access log says of one request.
type entry struct {
	id   string // made here: one that comes with the request could be anything
	run  string
	code string
	err  error

	waited bool // for something to happen: how long it took says nothing about this server
}

const entryKey = "stile.entry"

func entryOf(c *gin.Context) *entry {
	if e, ok := c.Value(entryKey).(*entry); ok {
		return e
	}
	return &entry{} // a handler that was mounted without around
}

// around is around every request, known path or not: headers, recovery, log
// and metrics.
func (a *api) around(c *gin.Context) {
	began := a.cfg.Now()
	e := &entry{id: rand.Text()}
	c.Set(entryKey, e)
	h := c.Writer.Header()
	h["Cache-Control"] = []string{"no-store"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["X-Request-Id"] = []string{e.id}
	if len(c.Request.TransferEncoding) > 0 {
		// net/http does not tell whether there was a Content-Length as well. If
		// so, what follows on the connection may be smuggled: RFC 9112 §6.1.
		h["Connection"] = []string{"close"}
	}
	if forScripts(c.Request.URL.Path) {
		a.allowOrigin(c)
	}
	defer func() {
		if v := recover(); v != nil {
			a.recovered(c, v)
		}
		a.finish(c, e, a.cfg.Now().Sub(began))
	}()
	c.Next()
}

// recovered answers a panic. Its value may have been made from a request, so
// only its type is logged; errors of the runtime hold no data.
func (a *api) recovered(c *gin.Context, v any) {
	what := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		what = err.Error()
	}
	a.cfg.Logger.Error("panic", zap.String("request_id", entryOf(c).id), zap.String("value", what), zap.ByteString("stack", debug.Stack()))
	c.Abort()
	if !c.Writer.Written() {
		f := internal(nil)
		f.close = true
		a.fail(c, f)
	}
}

func (a *api) finish(c *gin.Context, e *entry, took time.Duration) {
	route, method, status := c.FullPath(), c.Request.Method, c.Writer.Status()
	if route == "" {
		route = "unmatched"
	}
	if !slices.Contains(methods(), method) {
		method = "other"
	}
	a.metrics.observe(route, method, status, took, e.waited)
	level := zapcore.InfoLevel
	if status >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	line := a.cfg.Logger.Check(level, "request")
	if line == nil {
		return
	}
	fields := []zap.Field{
		zap.String("request_id", e.id), zap.String("route", route), zap.String("method", method),
		zap.Int("status", status), zap.Duration("duration", took),
	}
	if e.run != "" {
		fields = append(fields, zap.String("run", e.run))
	}
	if e.code != "" {
		fields = append(fields, zap.String("code", e.code))
	}
	if e.err != nil && status >= http.StatusInternalServerError {
		fields = append(fields, zap.NamedError("cause", e.err))
	}
	line.Write(fields...)
}

// methods are those that labels and log lines may show.
func methods() []string {
	return []string{
		http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodHead,
		http.MethodPut, http.MethodPatch, http.MethodTrace, http.MethodConnect,
	}
}
