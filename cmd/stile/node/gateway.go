package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/propagation/gateway"
)

// gate is the gateway: nothing if there is none.
type gate struct {
	listener net.Listener
	server   *http.Server
	inside   http.Handler // answers what the gateway asks the authorization server
	told     *refusals
	active   atomic.Pointer[gateway.Gateway]
}

// ServeHTTP answers with the gateway that is active now.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.active.Load().ServeHTTP(w, r) }

// listenToProxies takes the gateway's address, if there is to be one.
func (n *Node) listenToProxies(ctx context.Context) (err error) {
	if n.cfg.Gateway.Listen == "" {
		return nil
	}
	var lc net.ListenConfig
	if n.gate.listener, err = lc.Listen(ctx, "tcp", n.cfg.Gateway.Listen); err != nil {
		return fmt.Errorf("node: gateway: %w", err)
	}
	return nil
}

// openGateway makes what answers proxies: by this node's own keys, and with the
// proofs that all nodes have seen.
func (n *Node) openGateway(handler http.Handler) (err error) {
	if n.gate.listener == nil {
		return nil
	}
	n.gate.inside = handler
	if n.gate.told, err = newRefusals(n.metrics, n.Base.Recorder, n.opts.Logger.Named("gateway"), n.opts.Now); err != nil {
		return err
	}
	made, err := n.newGateway(n.cfg.Gateway)
	if err != nil {
		return err
	}
	n.gate.active.Store(made)
	n.gate.server, err = httpapi.NewServer("", &n.gate, n.opts.Logger.Named("gateway"))
	return err
}

func (n *Node) newGateway(c config.Gateway) (*gateway.Gateway, error) {
	cfg, err := gatewayOf(c)
	if err != nil {
		return nil, err
	}
	cfg.Issuer, cfg.Keys, cfg.Taken, cfg.Now = n.url, n.keys, n.takeProof, n.opts.Now
	cfg.Sealer, cfg.Server, cfg.Decided = n.Base.cookies, inside{n.gate.inside}, n.gate.told.decided
	g, err := gateway.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return g, nil
}

// errMoved says that a gateway cannot come, go or move while the node runs.
var errMoved = errors.New("node: gateway.listen is another than at the start: that takes a restart")

// UseGateway makes another map of resources the active one, as a whole or, if anything is
// wrong, not at all. What is asked meanwhile is answered by the one or the other.
func (n *Node) UseGateway(c config.Gateway) error {
	err := errMoved
	if c.Listen == n.cfg.Gateway.Listen {
		if n.gate.listener == nil {
			return nil
		}
		var made *gateway.Gateway
		if made, err = n.newGateway(c); err == nil {
			n.gate.active.Store(made)
			n.opts.Logger.Info("gateway reloaded", zap.Int("resources", len(c.Resources)), zap.Int("apps", len(c.Apps)), zap.Int("api_keys", len(c.APIKeys)))
			return nil
		}
	}
	n.opts.Logger.Error("gateway not reloaded; what it was stays active", zap.Strings("problem", listOf(err)))
	return err
}

// gatewayOf is what the configuration says of the gateway.
func gatewayOf(c config.Gateway) (out gateway.Config, err error) {
	out = c.Map()
	if out.Proxies, err = c.Networks(); err != nil {
		return out, fmt.Errorf("node: gateway.proxies: %w", err)
	}
	for i, a := range out.Apps {
		if out.Apps[i].Secret, err = c.Apps[a.Name].ClientSecret.Read(); err != nil {
			return out, fmt.Errorf("node: gateway.apps.%s.client_secret: %w", a.Name, err)
		}
	}
	return out, nil
}

// inside carries the gateway's requests to this node's own authorization server, without a
// network, whose proxies and names are for clients.
type inside struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := r.Clone(r.Context())
	asked.RequestURI, asked.RemoteAddr, asked.Host = r.URL.RequestURI(), "127.0.0.1:0", r.URL.Host
	a := &answer{header: http.Header{}}
	i.handler.ServeHTTP(a, asked)
	return &http.Response{
		StatusCode: cmp.Or(a.status, http.StatusOK), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.header,
		Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}, nil
}

// answer keeps what a handler answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) { a.status = cmp.Or(a.status, status) }

// GatewayAddr is the address that proxies are answered on; nil if there is no gateway.
func (n *Node) GatewayAddr() net.Addr {
	if n.gate.listener == nil {
		return nil
	}
	return n.gate.listener.Addr()
}
