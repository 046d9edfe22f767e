package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// How the sweeper removes what has expired: often enough that little piles up,
// in steps small enough that no request waits for one.
const (
	sweepEvery = time.Minute
	sweepRows  = 200
	sweepSteps = 50
	sweepPause = 20 * time.Millisecond
)

// serve starts the server, the sweeper and what watches definitions and keys.
func (n *Node) serve() {
	ctx, stop := context.WithCancel(context.Background()) // ends with the node, not with the start
	n.stop = stop
	n.done.Go(func() { n.sweep(ctx) })
	n.done.Go(func() { n.refreshKeys(ctx) })
	n.done.Go(func() { n.tidy(ctx, n.ended, "tokens of providers not revoked; tried again later", n.keeper.Revoke) })
	n.done.Go(func() {
		n.tidy(ctx, n.left, "relying parties not told of a logout; tried again later", n.farewell.Tell)
	})
	if n.cfg.Definitions != "" && n.opts.Watch > 0 {
		n.done.Go(func() { n.watch(ctx) })
	}
	run := func(s *http.Server, l net.Listener) {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- err
		}
	}
	n.done.Go(func() { run(n.server, n.listener) })
	if n.gate.server != nil {
		n.done.Go(func() { run(n.gate.server, n.gate.listener) })
	}
}

func (n *Node) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.sweepOnce(ctx)
		}
	}
}

func (n *Node) sweepOnce(ctx context.Context) {
	for range sweepSteps {
		removed, err := n.engine.Sweep(ctx, sweepRows)
		if err != nil && ctx.Err() == nil {
			n.opts.Logger.Warn("sweep", zap.Error(err))
		}
		if err != nil || removed == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepPause):
		}
	}
}

// Shutdown stops the node: it says that it is not ready, goes on serving for
// the configured delay, answers who waits for a change, lets requests under way
// finish, and closes the stores.
// What is not finished after the configured time, or when ctx is done, is cut.
// A second call does nothing.
func (n *Node) Shutdown(ctx context.Context) error {
	if n.stopping.Swap(true) {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(n.cfg.Shutdown.Delay):
	}
	close(n.closing)
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Shutdown.Timeout)
	defer cancel()
	err := n.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, n.server.Close())
	}
	if g := n.gate.server; g != nil { // last: proxies ask about requests that are under way
		if cut := g.Shutdown(ctx); cut != nil {
			err = errors.Join(err, cut, g.Close())
		}
	}
	if n.outbox != nil {
		err = errors.Join(err, n.outbox.Close(ctx))
	}
	return errors.Join(err, n.release())
}

// release frees whatever is held, also after half a start.
func (n *Node) release() error {
	var errs []error
	if n.stop != nil {
		n.stop()
	}
	if n.listener != nil && n.server == nil {
		errs = append(errs, n.listener.Close())
	}
	if n.gate.listener != nil && n.server == nil { // what has not begun to serve closes nothing by itself
		errs = append(errs, n.gate.listener.Close())
	}
	n.done.Wait()
	if n.outbox != nil {
		over, cancel := context.WithCancel(context.Background())
		cancel() // what has not been sent by now stays in its run
		_ = n.outbox.Close(over)
	}
	if n.Base != nil {
		errs = append(errs, n.Base.Close())
	}
	return errors.Join(errs...)
}
