package external

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// PlayWrongly plays a story in which Jane is let in where she is not.
func PlayWrongly(ctx context.Context, opts story.Options) error {
	all := scenes()
	last := &all[1].Lines[len(all[1].Lines)-1]
	last.Want = answer{Status: http.StatusOK}
	return story.Play(ctx, opts, open, all)
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
