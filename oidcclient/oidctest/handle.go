package oidctest

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
)

const maxBody = 1 << 20

// routes builds the router. It is the one list of the provider's paths.
func (p *Provider) routes() (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode) // or New lists the routes on standard output
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	if err := e.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	e.GET("/.well-known/openid-configuration", p.discovery)
	e.GET("/.well-known/oauth-authorization-server", p.discovery)
	e.GET("/jwks", p.jwks)
	e.GET("/authorize", p.authorize)
	e.POST("/authorize", p.authorize)
	e.GET("/login", p.showLogin)
	e.POST("/login", p.postLogin)
	e.GET("/consent", p.showConsent)
	e.POST("/consent", p.postConsent)
	e.POST("/token", p.token)
	e.POST("/par", p.push)
	e.GET("/userinfo", p.userInfo)
	e.POST("/userinfo", p.userInfo)
	e.POST("/revoke", p.revoke)
	e.POST("/introspect", p.introspect)
	e.GET("/tokeninfo", p.tokenInfo)
	e.GET("/logout", p.logout)
	e.POST("/logout", p.logout)
	return e, nil
}

// endpointOf names the endpoint of a path; "" for one that does not exist.
func endpointOf(path string) string {
	switch path {
	case "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server":
		return EndpointDiscovery
	case "/jwks", "/authorize", "/login", "/consent", "/token", "/par", "/userinfo", "/revoke", "/introspect", "/tokeninfo", "/logout":
		return path[1:]
	}
	return ""
}

// handle is the way of every request: count it, let the faults hold it, answer
// it into memory, let the faults bend the answer, send it.
func (p *Provider) handle(w http.ResponseWriter, r *http.Request) {
	p.reshape(r)
	endpoint := endpointOf(r.URL.Path)
	if p.down.Load() || !p.enter(endpoint) {
		panic(http.ErrAbortHandler) // net/http's way to cut the connection
	}
	defer p.inFlight.Done()
	// The body is read before anything can block: only then does net/http
	// notice a client that goes away, and ends the request's context.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "request body cannot be read or is too large", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.hold(r.Context(), endpoint)
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	rec := recorder{header: http.Header{}}
	p.engine.ServeHTTP(&rec, r)
	rec.header.Del("Content-Length") // the body may change; net/http counts it anew
	a := &Answer{Status: rec.status, Header: rec.header, Body: rec.body.Bytes()}
	p.bendAnswer(endpoint, a)
	a.send(r.Context(), w)
}

// enter counts the request, unless the provider is closed.
func (p *Provider) enter(endpoint string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.calls[endpoint]++
	p.inFlight.Add(1)
	return true
}

// recorder keeps an answer in memory.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}

// Answer is a whole HTTP answer that a fault may change.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// More, if set, is called after Body was sent and writes on until it
	// returns or the client goes away: a body without an end.
	More func(ctx context.Context, w io.Writer) error
	// Abort cuts the connection; nothing is sent.
	Abort bool
}

func (a *Answer) send(ctx context.Context, w http.ResponseWriter) {
	if a.Abort {
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.Header {
		w.Header()[name] = values
	}
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	w.WriteHeader(a.Status)
	_, err := w.Write(a.Body)
	if err != nil || a.More == nil {
		return
	}
	if err := a.More(ctx, w); err != nil {
		panic(http.ErrAbortHandler) // the client must not take it for complete
	}
}
