package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
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
func (n *Node) openGateway() error {
	if n.gate.listener == nil {
		return nil
	}
	cfg, err := gatewayOf(n.cfg.Gateway)
	if err != nil {
		return err
	}
	cfg.Issuer, cfg.Keys, cfg.Taken, cfg.Now = n.url, n.keys, n.takeProof, n.opts.Now
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
	return out, nil
}

// GatewayAddr is the address that proxies are answered on; nil if there is no gateway.
func (n *Node) GatewayAddr() net.Addr {
	if n.gate.listener == nil {
		return nil
	}
	return n.gate.listener.Addr()
}
