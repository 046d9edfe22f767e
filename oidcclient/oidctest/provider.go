package oidctest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

// The endpoints, as Calls, Fault.Before and Fault.Answer name them.
const (
	EndpointDiscovery  = "discovery"
	EndpointJWKS       = "jwks"
	EndpointAuthorize  = "authorize"
	EndpointLogin      = "login"
	EndpointConsent    = "consent"
	EndpointToken      = "token"
	EndpointPAR        = "par"
	EndpointUserInfo   = "userinfo"
	EndpointRevoke     = "revoke"
	EndpointIntrospect = "introspect"
	EndpointTokenInfo  = "tokeninfo"
	EndpointLogout     = "logout"
)

// Provider is a running OpenID provider. All methods may be called from any
// goroutine.
type Provider struct {
	cfg    Config
	issuer string
	port   string
	people *people
	keys   keyring
	state  *state
	engine *gin.Engine

	server *http.Server
	cancel context.CancelFunc // ends the context of every request
	served chan struct{}      // closed when the accept loop has ended
	down   atomic.Bool

	mu       sync.Mutex
	faults   []Fault
	calls    map[string]int
	closed   bool
	inFlight sync.WaitGroup
}

// Start checks cfg, listens and serves. All problems of cfg are reported in
// one error. The caller ends it with Close.
func Start(cfg Config) (*Provider, error) {
	cfg = cfg.complete()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Provider{cfg: cfg, state: newState(), calls: map[string]int{}, served: make(chan struct{})}
	var err error
	if p.people, err = newPeople(cfg.Users); err != nil {
		return nil, err
	}
	if err := p.RotateKeys(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Addr) //nolint:noctx // nothing to wait for
	if err != nil {
		return nil, fmt.Errorf("oidctest: %w", err)
	}
	p.issuer = "http://" + listener.Addr().String()
	if cfg.TLS != nil {
		p.issuer = "https://" + listener.Addr().String()
	}
	if cfg.Shape != nil {
		p.issuer = cfg.Shape.Issuer
	}
	if _, p.port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if p.engine, err = p.routes(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p.serve(listener)
	return p, nil
}

// serve starts the HTTP server. The read and write timeouts are long because
// they also bound how long a Gate can hold a request.
func (p *Provider) serve(listener net.Listener) {
	ctx, cancel := context.WithCancel(context.Background()) //stile:background the server lives until Close
	p.cancel = cancel
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.handle),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * time.Minute,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	go func() {
		defer close(p.served)
		// Serve always fails in the end: with ErrServerClosed after Close.
		var l net.Listener = &refusing{Listener: listener, down: &p.down}
		if p.cfg.TLS != nil {
			l = tls.NewListener(l, p.cfg.TLS)
		}
		_ = p.server.Serve(l)
	}()
}

// Issuer is the issuer identifier, http://127.0.0.1:port, without a slash at
// the end.
func (p *Provider) Issuer() string { return p.issuer }

// Close stops the provider and waits until no request is in progress.
// Requests that a Fault holds are ended through their context. A second Close
// does nothing.
func (p *Provider) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return nil
	}
	p.cancel()
	err := p.server.Close()
	<-p.served
	p.inFlight.Wait()
	return err
}

// Calls says how many requests have reached the endpoint since Start.
// Requests while the provider was down are not counted.
func (p *Provider) Calls(endpoint string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[endpoint]
}

// Down makes the provider unreachable until Up: new connections and requests
// on old ones are reset. The port stays taken, so no other program can get it;
// for "connection refused" use Close.
func (p *Provider) Down() { p.down.Store(true) }

// Up ends Down.
func (p *Provider) Up() { p.down.Store(false) }

// refusing is a listener that resets what it accepts while down is set.
type refusing struct {
	net.Listener
	down *atomic.Bool
}

func (l *refusing) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || !l.down.Load() {
			return conn, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset instead of an orderly end
		}
		_ = conn.Close()
	}
}
