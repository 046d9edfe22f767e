package external

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// PlayWrongly plays a story in which Jane is let in where she is not.
func PlayWrongly(ctx context.Context, opts Options) error {
	all := scenes()
	last := &all[1].lines[len(all[1].lines)-1]
	last.want = answer{status: http.StatusOK}
	return play(ctx, opts, all)
}

// AskEntitlements says how a call with that signature is answered at that time.
func AskEntitlements(signature, body string, at time.Time) int {
	e := entitlements{secret: []byte("0123456789abcdef0123456789abcdef"), now: func() time.Time { return at }, of: map[string]permissions{}}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Stile-Signature", signature)
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, r)
	return rec.Code
}
