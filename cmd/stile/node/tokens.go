package node

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/steps/sso"
)

// newKeeper makes what cares for the tokens of providers.
func (n *Node) newKeeper() (*sso.Keeper, error) {
	b := n.Base
	return sso.NewKeeper(sso.KeeperConfig{
		Find: n.remote, Kept: b.Store, Marks: b.Store, Sealer: b.Sealer, Recorder: b.Recorder, Now: n.opts.Now,
	})
}

// remote finds a provider of the active definitions.
func (n *Node) remote(name string) (sso.Provider, error) { return n.loaded.Load().remote.Find(name) }

// wake has the keeper look at once; it never waits.
func (n *Node) wake() {
	select {
	case n.ended <- struct{}{}:
	default:
	}
}

// tidy has the tokens revoked of sessions that have ended: soon after they have ended
// here, and from time to time, for those that expire or end on another node.
func (n *Node) tidy(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.ended:
		}
		for {
			done, err := n.keeper.Revoke(ctx)
			if err != nil && ctx.Err() == nil {
				n.opts.Logger.Warn("tokens of providers not revoked; tried again later", zap.Error(err))
			}
			if done == 0 {
				break
			}
		}
	}
}
