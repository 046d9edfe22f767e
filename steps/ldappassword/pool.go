package ldappassword

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	poolSize    = 8
	dialWait    = 3 * time.Second
	requestWait = 3 * time.Second
)

// pool holds connections that are alike: all of them bound as the one who
// searches, or all of them for binds. Safe for concurrent use.
type pool struct {
	url  string
	tls  *tls.Config
	bind func(*ldap.Conn) error // what a new connection begins with; nil: nothing
	busy chan struct{}          // as many as may be open
	idle chan *ldap.Conn
	over atomic.Bool // nothing is kept any more
}

func newPool(to string, cfg *tls.Config, bind func(*ldap.Conn) error) *pool {
	return &pool{url: to, tls: cfg, bind: bind, busy: make(chan struct{}, poolSize), idle: make(chan *ldap.Conn, poolSize)}
}

// do lends a connection to fn. One that has been idle may be dead without
// anybody knowing: then fn is called again with a new one.
func (p *pool) do(ctx context.Context, fn func(*ldap.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: no free connection: %w", errDown, ctx.Err())
	}
	defer func() { <-p.busy }()
	select {
	case c := <-p.idle:
		if err := p.use(c, fn); !errors.Is(err, errDown) {
			return err
		}
	default:
	}
	c, err := p.open(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errDown, err)
	}
	return p.use(c, fn)
}

// use calls fn, and keeps the connection unless it has failed.
func (p *pool) use(c *ldap.Conn, fn func(*ldap.Conn) error) error {
	err := fn(c)
	if errors.Is(err, errDown) || p.over.Load() {
		drop(c)
		return err
	}
	select {
	case p.idle <- c:
	default:
		drop(c)
	}
	return err
}

// drop closes a connection; that it was closed already is as well.
func drop(c *ldap.Conn) { _ = c.Close() }

// open connects with TLS, which is verified. Nothing is sent before.
func (p *pool) open(ctx context.Context) (*ldap.Conn, error) {
	u, err := url.Parse(p.url)
	if err != nil {
		return nil, err
	}
	c, err := ldap.DialURL(p.url, ldap.DialWithDialer(&net.Dialer{Timeout: dialWait}), ldap.DialWithTLSConfig(p.tls))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(requestWait)
	stop := context.AfterFunc(ctx, func() { drop(c) })
	defer stop()
	if u.Scheme == "ldap" {
		if err := c.StartTLS(p.tls); err != nil {
			drop(c)
			return nil, err
		}
	}
	if _, secure := c.TLSConnectionState(); !secure {
		drop(c)
		return nil, errors.New("the connection is not encrypted")
	}
	if p.bind != nil {
		if err := p.bind(c); err != nil {
			drop(c)
			return nil, err
		}
	}
	return c, nil
}

// close closes the connections that nobody uses, and the others when they are given back.
func (p *pool) close() {
	p.over.Store(true)
	for {
		select {
		case c := <-p.idle:
			drop(c)
		default:
			return
		}
	}
}
