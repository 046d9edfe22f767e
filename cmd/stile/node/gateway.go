package node

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/flows/httpapi"
	"github.com/stile-auth/stile/propagation/gateway"
	"github.com/stile-auth/stile/propagation/rp"
)

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
func (n *Node) openGateway(handler http.Handler) error {
	if n.gate.listener == nil {
		return nil
	}
	cfg, err := gatewayOf(n.cfg.Gateway)
	if err != nil {
		return err
	}
	cfg.Issuer, cfg.Keys, cfg.Taken, cfg.Now = n.url, n.keys, n.takeProof, n.opts.Now
	cfg.Sealer, cfg.Server = n.Base.cookies, inside{handler}
	g, err := gateway.New(cfg)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.gate.server, err = httpapi.NewServer("", g, n.opts.Logger.Named("gateway"))
	return err
}

// gatewayOf is what the configuration says of the gateway.
func gatewayOf(c config.Gateway) (gateway.Config, error) {
	out := gateway.Config{Remember: c.Remember}
	for _, text := range c.Proxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return out, fmt.Errorf("node: gateway.proxies: %q is no network such as 10.1.0.0/16", text)
		}
		out.Proxies = append(out.Proxies, p)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Resources)) {
		r := c.Resources[name]
		out.Resources = append(out.Resources, gateway.Resource{
			Name: name, Origin: r.Origin, Path: r.Path, Methods: r.Methods, For: cmp.Or(r.For, gateway.ForToken), Audience: r.Audience,
			Rule:   rp.Rule{ACR: r.ACR, AMR: r.AMR, MaxAge: r.MaxAge, Scopes: r.Scopes, Roles: r.Roles, Entitlements: r.Entitlements},
			Cookie: r.Cookie, Forward: r.Forward,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(c.APIKeys)) {
		out.APIKeys = append(out.APIKeys, rp.APIKey{Name: name, Hash: c.APIKeys[name].Hash, Uses: c.APIKeys[name].For})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		a := c.Apps[name]
		secret, err := a.ClientSecret.Read()
		if err != nil {
			return out, fmt.Errorf("node: gateway.apps.%s.client_secret: %w", name, err)
		}
		out.Apps = append(out.Apps, gateway.App{
			Name: name, Origin: a.Origin, Client: a.ClientID, Secret: secret, Audience: a.Audience, Scopes: a.Scopes, Cookie: a.Cookie,
		})
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
