package node

import "context"

// SweepOnce removes what has expired now instead of within a minute.
func (n *Node) SweepOnce(ctx context.Context) { n.sweepOnce(ctx) }
