package node

import (
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/dpop"
	"github.com/stile-auth/stile/flows/webui"
	"github.com/stile-auth/stile/propagation/provider"
)

// browsers makes what browsers get: the pages, and the authorization server whose
// sign-ins the pages draw. Each needs the other.
func (n *Node) browsers(registry *flows.Registry, algorithms []string) (*webui.Pages, *provider.Server, error) {
	back := &returner{}
	pages, err := webui.New(webui.Config{
		Engine: n.engine, BaseURL: n.url, Logger: n.opts.Logger.Named("pages"),
		Messages: func() *flowdefs.Messages { return n.Definitions().Messages },
		Returner: back, Typed: typed(registry), Now: n.opts.Now,
	})
	if err != nil {
		return nil, nil, err
	}
	nonces, err := dpop.NewNonces(n.Base.nonces, n.opts.Now)
	if err != nil {
		return nil, nil, err
	}
	proofs, err := dpop.New(dpop.Config{Algorithms: algorithms, Nonces: nonces, Now: n.opts.Now, Taken: n.takeProof})
	if err != nil {
		return nil, nil, err
	}
	back.Server, err = provider.New(provider.Config{
		Issuer: n.url, Engine: n.engine, Keys: n.keys, DPoP: proofs, Nonce: nonces.Fresh, Definitions: n.Definitions, Pages: pages,
		Logger: n.opts.Logger.Named("oauth2"), Now: n.opts.Now,
	})
	return pages, back.Server, err
}

// returner is the authorization server, once there is one.
type returner struct{ *provider.Server }

var _ webui.Returner = (*returner)(nil)

// typed are the codes of the prompts whose answers are typed.
func typed(registry *flows.Registry) []string {
	var codes []string
	for _, t := range registry.Types() {
		if t.Typed {
			codes = append(codes, t.Code)
		}
	}
	return codes
}
