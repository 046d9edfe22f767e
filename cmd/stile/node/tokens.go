package node

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/oidcclient"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/propagation/provider"
	"github.com/stile-auth/stile/steps/sso"
)

// tidyEvery is how soon what ended on another node, or was put off, is looked at.
const tidyEvery = 20 * time.Second

// newKeeper makes what cares for the tokens of providers.
func (n *Node) newKeeper() (*sso.Keeper, error) {
	b := n.Base
	return sso.NewKeeper(sso.KeeperConfig{
		Find: n.remote, Kept: b.Store, Marks: b.Store, Sealer: b.Sealer, Recorder: b.Recorder, Now: n.opts.Now,
	})
}

// remote finds a provider of the active definitions.
func (n *Node) remote(name string) (sso.Provider, error) { return n.loaded.Load().remote.Find(name) }

// newFarewell makes what tells relying parties that sessions have ended.
func (n *Node) newFarewell() (*provider.Farewell, error) {
	tokens, err := propagation.NewLogoutTokens(n.url, n.keys)
	if err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	if ca := n.cfg.RelyingParties.CA; ca != "" {
		if roots, err = readPool(ca); err != nil {
			return nil, fmt.Errorf("node: relying_parties.ca: %w", err)
		}
	}
	b := n.Base
	return provider.NewFarewell(provider.FarewellConfig{
		Find: n.engine.OwnClient, Sign: tokens.Sign, Kept: b.Store, Marks: b.Store, Sealer: b.Sealer, Recorder: b.Recorder,
		Via: oidcclient.Transport(networkOf(n.cfg.RelyingParties.Network), roots), Now: n.opts.Now,
	})
}

// wake has those look at once who care for what sessions leave; it never waits.
func (n *Node) wake() {
	for _, ended := range []chan struct{}{n.ended, n.left} {
		select {
		case ended <- struct{}{}:
		default:
		}
	}
}

// tidy cares for what sessions leave that have ended: soon after they have ended here,
// and from time to time, for those that expire or end on another node.
func (n *Node) tidy(ctx context.Context, ended <-chan struct{}, failing string, some func(context.Context) (int, error)) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-ended:
		}
		for {
			done, err := some(ctx)
			if err != nil && ctx.Err() == nil {
				n.opts.Logger.Warn(failing, zap.Error(err))
			}
			if done == 0 {
				break
			}
		}
	}
}
