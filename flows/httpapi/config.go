package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// runner drives runs; [flows.Engine] is the one that counts.
type runner interface {
	Start(ctx context.Context, c flows.Caller, r flows.StartRequest) (flows.View, error)
	Show(ctx context.Context, h flows.Secret, c flows.Caller) (flows.View, error)
	Answer(ctx context.Context, h flows.Secret, c flows.Caller, stepID string, turn int, in flows.Input) (flows.View, error)
}

// mover drives runs in ways that answer no step.
type mover interface {
	Activate(ctx context.Context, h flows.Secret, c flows.Caller, turn int, in flows.Input) (flows.View, error)
	HandOver(ctx context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error)
	Back(ctx context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error)
	Resend(ctx context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error)
	Restart(ctx context.Context, h flows.Secret, c flows.Caller, turn int) (flows.View, error)
	Cancel(ctx context.Context, h flows.Secret, c flows.Caller) (flows.View, error)
}

// pages are those whose scripts may ask, and what their browsers get.
type pages interface {
	Origins() []string
	Cookies(origin string) []flowdefs.Cookie
}

// engine is what the API needs: runs, the end of sessions, records and the clients' origins.
type engine interface {
	runner
	mover
	SignOut(ctx context.Context, session flows.Secret, c flows.Caller) (*flows.Departure, error)
	Refuse(ctx context.Context, c flows.Caller, code string) error
	Standing(ctx context.Context, h flows.Secret, c flows.Caller) *flows.View
	pages
}

var _ engine = (*flows.Engine)(nil)

// verifier checks DPoP proofs; dpop.Verifier does. An error that is not
// dpop.ErrProof means that it could not tell.
type verifier interface {
	Verify(ctx context.Context, headers []string, method, url, accessToken string) (thumbprint string, err error)
}

// Config is what the API is made of. All fields are required unless a default is named.
type Config struct {
	Engine    engine                  // a *flows.Engine
	DPoP      verifier                // a *dpop.Verifier
	BaseURL   string                  // external origin, e.g. "https://auth.example": what proofs are made for
	Logger    *zap.Logger             // access log and failures
	Now       func() time.Time        // for durations and the deadlines of streams
	Metrics   *prometheus.Registry    // the API's metrics are added; served at /metrics
	Ready     map[string]Check        // what /readyz asks, by the name that it may show; default nothing
	WellKnown map[string]http.Handler // further GET handlers by exact path; default none
	Steps     []flows.StepType        // what /openapi.json describes; default none
	Pages     http.Handler            // pages at and below /handover and /link, which clients hand over to and mails lead to; default none
	OAuth     http.Handler            // the authorization server, at everything below /oauth2; default none
	Logouts   logouts                 // ends sessions as remote providers say; default none, and no addresses for them
	Limit     Limit                   // per address; default none
	MaxBody   int64                   // of a request, in bytes; default 64 KiB
	Poll      time.Duration           // how often requests that wait look again; default 250 ms
	Closing   <-chan struct{}         // once closed, requests that wait are answered as things are; default never

	Definitions func() Definitions // what /readyz says of the definitions; default nothing
}

// Check reports whether a dependency can be used. Its error goes to the log only.
type Check func(ctx context.Context) error

const defaultMaxBody = 64 << 10

// check returns every mistake at once.
func (c Config) check() error {
	var problems []error
	require := func(ok bool, what string) {
		if !ok {
			problems = append(problems, fmt.Errorf("httpapi: %s", what))
		}
	}
	require(c.Engine != nil, "no engine")
	require(c.DPoP != nil, "no DPoP verifier")
	require(c.Logger != nil, "no logger")
	require(c.Now != nil, "no clock")
	require(c.Metrics != nil, "no metrics registry")
	require(c.MaxBody >= 0, "the body limit is negative")
	require(c.Poll >= 0, "the polling interval is negative")
	require(isOrigin(c.BaseURL), fmt.Sprintf("the base URL %q is not an origin such as https://auth.example", c.BaseURL))
	for name, check := range c.Ready {
		require(name != "" && check != nil, fmt.Sprintf("the readiness check %q has no name or does nothing", name))
	}
	for path, h := range c.WellKnown {
		require(h != nil && strings.HasPrefix(path, "/.well-known/") && !strings.ContainsAny(path, ":*"),
			fmt.Sprintf("%q is not a path below /.well-known/ with a handler", path))
	}
	return errors.Join(problems...)
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" &&
		u.Scheme+"://"+strings.ToLower(u.Host) == s
}
