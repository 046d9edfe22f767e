//go:build unix

package redis_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/redis"
	"github.com/stile-auth/stile/flows/store/servertest"
)

func record(id string, version int64) flows.Record {
	return flows.Record{ID: id, Version: version, Expires: start.Add(time.Hour), Aliases: []flows.Alias{{id[0]}}, Data: []byte(id)}
}

// A server that stops, or dies, is unavailable: neither absent nor a bug. When it is
// back, so is the store, with everything that it acknowledged.
func TestServerGoes(t *testing.T) {
	t.Parallel()
	server := servertest.NewRedis(t)
	s := open(t, redis.Config{Addresses: []string{server.Address()}})
	if err := s.Create(t.Context(), record("run", 1), start); err != nil {
		t.Fatal(err)
	}
	version := int64(1)
	for _, end := range []func(testing.TB){server.Stop, server.Crash} {
		end(t)
		_, loadErr := s.Load(t.Context(), flows.Alias{'r'}, start)
		for name, err := range map[string]error{
			"ping": s.Ping(t.Context()), "load": loadErr, "update": s.Update(t.Context(), record("run", version+1)),
			"mark":   s.TakeMark(t.Context(), "m", "o", start, start.Add(time.Hour)),
			"change": s.Change(t.Context(), "k", func(flows.Counter) (flows.Counter, error) { return flows.Counter{Failures: 1}, nil }),
		} {
			if !errors.Is(err, flows.ErrUnavailable) {
				t.Errorf("%s: error %v, want ErrUnavailable", name, err)
			}
		}
		server.Start(t)
		back(t, s)
		if r, err := s.Load(t.Context(), flows.Alias{'r'}, start); err != nil || r.Version != version {
			t.Errorf("after the start: run %+v, %v", r, err)
		}
		version++
		if err := s.Update(t.Context(), record("run", version)); err != nil {
			t.Errorf("after the start: %v", err)
		}
	}
}

// back waits until the client has found a server.
func back(t *testing.T, s *redis.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := s.TakeMark(ctx, "back", "o", start, start.Add(time.Hour))
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("the store does not come back:", err)
		}
		if !errors.Is(err, flows.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

// When the server dies the sentinels name another one, and the store goes on there.
func TestFailover(t *testing.T) {
	t.Parallel()
	all := servertest.RedisSentinels(t)
	s := open(t, redis.Config{Addresses: all.Addresses(), Mode: "sentinel", Master: servertest.SentinelName})
	if err := s.Create(t.Context(), record("run", 1), start); err != nil {
		t.Fatal(err)
	}
	for all.Replica.Ask(t, "DBSIZE") != all.Master.Ask(t, "DBSIZE") { // until the replica has it
	}
	all.Master.Crash(t)
	back(t, s)
	if r, err := s.Load(t.Context(), flows.Alias{'r'}, start); err != nil || r.Version != 1 {
		t.Errorf("run %+v, %v", r, err)
	}
	if err := s.Update(t.Context(), record("run", 2)); err != nil {
		t.Error(err)
	}
}

// When a node of the cluster dies its replica takes over its slots.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	c := servertest.RedisCluster(t)
	s := open(t, redis.Config{Addresses: c.Addresses(), Mode: "cluster"})
	const runs = 20
	id := func(i int) string { return string(rune('a' + i)) }
	for i := range runs {
		if err := s.Create(t.Context(), record(id(i), 1), start); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		for c.Nodes[i].Ask(t, "DBSIZE") != c.Nodes[i+3].Ask(t, "DBSIZE") { // until the replica has it
		}
	}
	c.Nodes[0].Crash(t)
	for i := range runs {
		for {
			r, err := s.Load(t.Context(), flows.Alias{id(i)[0]}, start)
			if err == nil && r.Version == 1 {
				break
			}
			if !errors.Is(err, flows.ErrUnavailable) {
				t.Fatalf("run %d: %+v, %v", i, r, err)
			}
		}
	}
}

// Keys that may be evicted would let a mark be taken twice.
func TestEviction(t *testing.T) {
	t.Parallel()
	server := servertest.NewRedis(t, "--maxmemory-policy", "allkeys-lru")
	s, err := redis.Open(t.Context(), redis.Config{Addresses: []string{server.Address()}, Now: time.Now})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "allkeys-lru") || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("error %v, want words about eviction", err)
	}
}

// A server without memory is unavailable; what it has it keeps.
func TestFull(t *testing.T) {
	t.Parallel()
	server := servertest.NewRedis(t)
	s := open(t, redis.Config{Addresses: []string{server.Address()}})
	if err := s.TakeMark(t.Context(), "m", "o", start, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	server.Ask(t, "CONFIG", "SET", "maxmemory", "1")
	if err := s.TakeMark(t.Context(), "n", "o", start, start.Add(time.Hour)); !errors.Is(err, flows.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	server.Ask(t, "CONFIG", "SET", "maxmemory", "0")
	if err := s.TakeMark(t.Context(), "m", "other", start, start.Add(time.Hour)); !errors.Is(err, flows.ErrTaken) {
		t.Errorf("error %v, want ErrTaken", err)
	}
}

// Nothing that expires stays for ever, even if nobody sweeps: the server tidies up,
// but not before the instant that counts.
func TestTidy(t *testing.T) {
	t.Parallel()
	server := servertest.NewRedis(t)
	s := open(t, redis.Config{Addresses: []string{server.Address()}, Prefix: "p:"})
	if err := s.Create(t.Context(), record("run", 1), start); err != nil {
		t.Fatal(err)
	}
	if err := s.TakeMark(t.Context(), "mark", "o", start, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c := flows.Counter{Failures: 1, Expires: start.Add(time.Hour)}
	if err := s.Change(t.Context(), "count", func(flows.Counter) (flows.Counter, error) { return c, nil }); err != nil {
		t.Fatal(err)
	}
	if n := server.Ask(t, "DBSIZE"); n != "7" { // the run, its alias, the mark, the counter, three lists
		t.Errorf("%s keys", n)
	}
	for key, most := range map[string]time.Duration{"p:{?}r:run": 26 * time.Hour, "p:{?}m:mark": 62 * time.Minute, "p:{?}c:count": 26 * time.Hour} {
		found := false
		for shard := range 64 {
			ms, err := strconv.Atoi(server.Ask(t, "PTTL", strings.Replace(key, "?", strconv.Itoa(shard), 1)))
			if err != nil {
				t.Fatal(err)
			}
			if ms != -2 {
				left := time.Duration(ms) * time.Millisecond
				if found = true; left < time.Hour || left > most {
					t.Errorf("%s lives for %s", key, left)
				}
			}
		}
		if !found {
			t.Errorf("%s is not there", key)
		}
	}
	for _, sweep := range []func(context.Context, time.Time, int) (int, error){s.DeleteExpired, s.DeleteExpiredMarks, s.DeleteExpiredCounters} {
		if n, err := sweep(t.Context(), start.Add(time.Hour), 10); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if n := server.Ask(t, "DBSIZE"); n != "1" { // the alias: it leads to nothing, and expires by itself
		t.Errorf("%s keys after the sweep", n)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	address := []string{servertest.Redis(t).Address()}
	for name, cfg := range map[string]redis.Config{
		"no address":   {Now: time.Now},
		"no clock":     {Addresses: address},
		"no such mode": {Addresses: address, Now: time.Now, Mode: "many"},
		"no master":    {Addresses: address, Now: time.Now, Mode: "sentinel"},
		"braces":       {Addresses: address, Now: time.Now, Prefix: "{a}"},
		"not reached":  {Addresses: []string{"127.0.0.1:1"}, Now: time.Now, Password: "secret"},
	} {
		s, err := redis.Open(t.Context(), cfg)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
