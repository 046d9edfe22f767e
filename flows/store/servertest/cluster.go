//go:build unix

package servertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

// Cluster is a Redis Cluster.
type Cluster struct {
	Nodes []*RedisServer // three that own slots, then a replica of each
}

const (
	slots   = 16384
	masters = 3
)

// RedisCluster starts a Redis Cluster of six processes for one test: three of
// them own the slots, and each has a replica.
func RedisCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range 2 * masters {
		s, err := tried(startClusterNode)
		need(t, err)
		t.Cleanup(s.process.end)
		c.Nodes = append(c.Nodes, s)
	}
	for i, s := range c.Nodes[:masters] {
		from, to := slots*i/masters, slots*(i+1)/masters-1
		s.Ask(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to))
		s.Ask(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for _, s := range c.Nodes[1:] {
		s.Ask(t, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(c.Nodes[0].port), strconv.Itoa(c.Nodes[0].bus))
	}
	for i, s := range c.Nodes[masters:] {
		id := c.Nodes[i].Ask(t, "CLUSTER", "MYID")
		wait(t, s, func(ctx context.Context) error { // until it has heard of that one
			_, err := s.ask(ctx, "CLUSTER", "REPLICATE", id)
			return err
		})
	}
	for _, s := range c.Nodes {
		wait(t, s, c.settled(s))
	}
	return c
}

// settled says whether a node knows of all others, and that all slots are served.
func (c *Cluster) settled(s *RedisServer) func(context.Context) error {
	return func(ctx context.Context) error {
		info, err := s.ask(ctx, "CLUSTER", "INFO")
		if err != nil {
			return err
		}
		nodes, err := s.ask(ctx, "CLUSTER", "NODES")
		if err != nil {
			return err
		}
		if !strings.Contains(info, "cluster_state:ok") || strings.Count(nodes, "slave ") < masters ||
			strings.Count(nodes, "\n") != len(c.Nodes) {
			return errors.New("the cluster has not settled")
		}
		return nil
	}
}

func wait(t testing.TB, s *RedisServer, ready func(context.Context) error) {
	t.Helper()
	if err := s.process.await(ready); err != nil {
		t.Fatal(err)
	}
}

// startClusterNode takes a port whose neighbour for the bus is free too.
func startClusterNode() (*RedisServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	bus, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := startRedisOn(port, "", "--save", "", "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "2000")
	if s != nil {
		s.bus = bus
	}
	return s, err
}

// Addresses are where its nodes listen.
func (c *Cluster) Addresses() []string {
	var out []string
	for _, s := range c.Nodes {
		out = append(out, s.Address())
	}
	return out
}

// Sentinels is a Redis with a replica, watched by three sentinels.
type Sentinels struct {
	Master, Replica *RedisServer
	Watchers        []*RedisServer
}

// SentinelName is what the sentinels call the Redis that they watch.
const SentinelName = "stile"

// RedisSentinels starts them for one test.
func RedisSentinels(t testing.TB) *Sentinels {
	t.Helper()
	out := &Sentinels{Master: NewRedis(t)}
	out.Replica = NewRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(out.Master.port))
	for range 3 {
		s, err := tried(func() (*RedisServer, error) { return startSentinel(out.Master.port) })
		need(t, err)
		t.Cleanup(s.process.end)
		out.Watchers = append(out.Watchers, s)
	}
	for _, s := range out.Watchers {
		wait(t, s, func(ctx context.Context) error {
			info, err := s.ask(ctx, "INFO", "sentinel")
			if err == nil && !strings.Contains(info, "slaves=1,sentinels=3") {
				err = fmt.Errorf("the sentinels have not met: %s", info)
			}
			return err
		})
	}
	return out
}

func startSentinel(master int) (*RedisServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return startRedisOn(port, strings.NewReplacer("$NAME", SentinelName, "$PORT", strconv.Itoa(master)).Replace(`sentinel monitor $NAME 127.0.0.1 $PORT 2
sentinel down-after-milliseconds $NAME 1000
sentinel failover-timeout $NAME 5000
`), "--sentinel")
}

// Addresses are where the sentinels listen.
func (s *Sentinels) Addresses() []string {
	var out []string
	for _, w := range s.Watchers {
		out = append(out, net.JoinHostPort("127.0.0.1", strconv.Itoa(w.port)))
	}
	return out
}
