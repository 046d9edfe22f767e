package httpapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/stile-auth/stile/flows"
)

const (
	defaultPoll = 250 * time.Millisecond
	maxWait     = 25 * time.Second // below what proxies and phones usually cut at
)

// readPreference takes in how long a call that can wait is asked to. A
// preference is never an error: RFC 7240 §2.
func (q *request) readPreference(c *gin.Context, op operation) *failure {
	if op.waits {
		q.wait = preferredWait(c.Request.Header["Prefer"])
	}
	return nil
}

// preferredWait reads the preference wait=N (RFC 7240 §4.3): N seconds, but no
// more than maxWait; 0 if it is not there or is no number. The first one counts.
func preferredWait(headers []string) time.Duration {
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		preference, _, _ := strings.Cut(part, ";")
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.TrimSpace(value)
		if quoted, ok := strings.CutPrefix(value, `"`); ok {
			value = strings.TrimSuffix(quoted, `"`)
		}
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return 0
		}
		return min(time.Duration(n)*time.Second, maxWait)
	}
	return 0
}

// show answers with the current view or, if the caller is willing to wait, with
// the first that differs from it. Every look is a call of its own: handle and
// key are checked each time.
func (a *api) show(ctx context.Context, q *request) (flows.View, error) {
	v, err := a.cfg.Engine.Show(ctx, q.handle, q.caller)
	if err != nil || q.wait == 0 {
		return v, err
	}
	look, end := time.NewTicker(a.cfg.Poll), time.NewTimer(q.wait)
	defer look.Stop()
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return v, nil // nobody reads it
		case <-a.cfg.Closing:
			return v, nil
		case <-end.C:
			return v, nil
		case <-look.C:
			next, err := a.cfg.Engine.Show(ctx, q.handle, q.caller)
			if err != nil || moved(&v, &next) {
				return next, err
			}
		}
	}
}

// moved says whether a client that has seen one view wants to see the next.
func moved(seen, next *flows.View) bool {
	return seen.Flow.Turn != next.Flow.Turn || seen.Flow.Status != next.Flow.Status
}
