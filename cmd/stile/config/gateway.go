package config

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/stile-auth/stile/propagation/gateway"
	"github.com/stile-auth/stile/propagation/rp"
)

// Map is what the keys say to a gateway, but for secrets and proxies.
func (g Gateway) Map() gateway.Config {
	out := gateway.Config{Remember: g.Remember}
	for _, name := range slices.Sorted(maps.Keys(g.Resources)) {
		r := g.Resources[name]
		out.Resources = append(out.Resources, gateway.Resource{
			Name: name, Origin: r.Origin, Path: r.Path, Methods: r.Methods, For: cmp.Or(r.For, gateway.ForToken), Audience: r.Audience,
			Rule:   rp.Rule{ACR: r.ACR, AMR: r.AMR, MaxAge: r.MaxAge, Scopes: r.Scopes, Roles: r.Roles, Entitlements: r.Entitlements},
			Cookie: r.Cookie, Forward: r.Forward,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(g.APIKeys)) {
		out.APIKeys = append(out.APIKeys, rp.APIKey{Name: name, Hash: g.APIKeys[name].Hash, Uses: g.APIKeys[name].For})
	}
	for _, name := range slices.Sorted(maps.Keys(g.Apps)) {
		a := g.Apps[name]
		out.Apps = append(out.Apps, gateway.App{
			Name: name, Origin: a.Origin, Client: a.ClientID, Audience: a.Audience, Scopes: a.Scopes, Cookie: a.Cookie,
		})
	}
	return out
}

// Networks are those of the proxies. The loader has looked at them.
func (g Gateway) Networks() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range g.Proxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// checkGateway reports what the gateway's keys mean together, each mistake where its thing stands.
func (d *decoder) checkGateway(root *yaml.Node, g Gateway) {
	at := below(root, "gateway")
	for _, text := range g.Proxies {
		if _, err := netip.ParsePrefix(text); err != nil {
			d.fail(below(at, "proxies"), "gateway.proxies: %q is no network such as 10.1.0.0/16", text)
		}
	}
	m := g.Map()
	for i, a := range m.Apps {
		if !g.Apps[a.Name].ClientSecret.IsZero() {
			m.Apps[i].Secret = "some" // it is read when it is needed
		}
	}
	sections := map[string]string{gateway.AboutResource: "resources", gateway.AboutApp: "apps", gateway.AboutKey: "api_keys"}
	for _, one := range gateway.Check(m) {
		section := sections[one.About]
		d.fail(below(below(at, section), one.Name), "gateway.%s.%s: %s", section, one.Name, one.Text)
	}
}

// below is the value of a key, or the node itself if it has none.
func below(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return n
}
