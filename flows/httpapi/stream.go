package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stile-auth/stile/flows"
)

// Limits of a stream. Clients reconnect: each connection proves handle and key anew.
const (
	heartbeat   = 15 * time.Second
	maxStream   = 5 * time.Minute
	maxDelivery = 30 * time.Second // how long a client may take to read one event
)

// stream is one answer of server-sent events (HTML Living Standard §9.2).
type stream struct {
	a   *api
	c   *gin.Context
	rc  *http.ResponseController
	buf *bytes.Buffer
}

// events sends the view at once and again whenever it changes, until the run ends.
func (a *api) events(c *gin.Context, q *request) {
	ctx := c.Request.Context()
	q.caller.Origin = "" // what has begun to answer sets no cookie any more
	v, err := a.cfg.Engine.Show(ctx, q.handle, q.caller)
	if err != nil {
		a.fail(c, failureOf(err))
		return
	}
	e := entryOf(c)
	e.run, e.waited = v.Flow.ID, true
	s := &stream{a: a, c: c, rc: http.NewResponseController(c.Writer), buf: a.buffers.Get().(*bytes.Buffer)}
	s.buf.Reset()
	defer a.release(s.buf)
	c.Writer.Header()["Content-Type"] = []string{"text/event-stream"}
	c.Writer.WriteHeader(http.StatusOK)
	if s.send("view", &v) == nil {
		s.follow(ctx, q, v)
	}
}

// follow looks for changes until there can be no more, or for as long as a stream may last.
func (s *stream) follow(ctx context.Context, q *request, v flows.View) {
	look, beat, end := time.NewTicker(s.a.cfg.Poll), time.NewTicker(heartbeat), time.NewTimer(maxStream)
	defer look.Stop()
	defer beat.Stop()
	defer end.Stop()
	var err error
	for err == nil && v.Flow.Status == flows.InProgress {
		select {
		case <-ctx.Done():
			return
		case <-s.a.cfg.Closing:
			return
		case <-end.C:
			return
		case <-beat.C:
			s.buf.WriteString(":\n\n")
			err = s.flush()
		case <-look.C:
			next, problem := s.a.cfg.Engine.Show(ctx, q.handle, q.caller)
			switch {
			case problem != nil:
				s.last(failureOf(problem))
				return
			case moved(&v, &next):
				v, err = next, s.send("view", &next)
			}
		}
	}
}

// last tells why there are no more views: the run has ended, which is one more
// view, or something that an answer of its own would have said.
func (s *stream) last(f *failure) {
	e := entryOf(s.c)
	e.code, e.err = f.code, f.err
	var err error
	switch {
	case f.status == http.StatusNotFound:
		e.code = flows.CodeNotFound
		s.begin("problem")
		s.buf.Write(s.a.notFound)
		s.buf.WriteByte('\n')
		err = s.flush()
	case f.status == http.StatusGone && f.view != nil:
		err = s.send("view", f.view)
	default:
		err = s.send("problem", f.document())
	}
	e.err = errors.Join(e.err, err)
}

func (s *stream) begin(event string) { s.buf.WriteString("event: " + event + "\ndata: ") }

// send sends one event whose data is one line of JSON.
func (s *stream) send(event string, data any) error {
	s.begin(event)
	if err := encode(s.buf, data); err != nil {
		s.buf.Reset()
		return err
	}
	s.buf.WriteByte('\n')
	return s.flush()
}

// flush sends what is in the buffer. The server's time for a whole answer does
// not hold here; what holds is the time for each event.
func (s *stream) flush() error {
	defer func() { clear(s.buf.Bytes()); s.buf.Reset() }()
	err := s.rc.SetWriteDeadline(s.a.cfg.Now().Add(maxDelivery))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.c.Writer.Write(s.buf.Bytes()); err != nil {
		return err
	}
	return s.rc.Flush()
}
