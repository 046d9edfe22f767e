//go:build unix

package redis_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/store/redis"
	"github.com/stile-auth/stile/flows/store/servertest"
	"github.com/stile-auth/stile/flows/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

var (
	start    = time.Date(2026, 3, 29, 2, 30, 0, 123456789, time.UTC)
	prefixes atomic.Int64
)

func TestStore(t *testing.T) {
	t.Parallel()
	conforms(t, redis.Config{Addresses: []string{servertest.Redis(t).Address()}})
}

// On a cluster no script may touch two slots.
func TestStoreOnCluster(t *testing.T) {
	t.Parallel()
	conforms(t, redis.Config{Addresses: servertest.RedisCluster(t).Addresses(), Mode: "cluster"})
}

func TestStoreWithSentinels(t *testing.T) {
	t.Parallel()
	conforms(t, redis.Config{Addresses: servertest.RedisSentinels(t).Addresses(), Mode: "sentinel", Master: servertest.SentinelName})
}

func conforms(t *testing.T, cfg redis.Config) {
	t.Helper()
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		t.Helper()
		mine := cfg
		mine.Prefix = fmt.Sprintf("%d:", prefixes.Add(1))
		return stores(t, mine)
	})
}

func stores(t *testing.T, cfg redis.Config) storetest.Stores {
	t.Helper()
	s := open(t, cfg)
	return storetest.Stores{
		Runs: s, Throttle: s, Marks: s,
		Reopen: func(t *testing.T) storetest.Stores {
			t.Helper()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return stores(t, cfg)
		},
	}
}

func open(t testing.TB, cfg redis.Config) *redis.Store {
	t.Helper()
	cfg.Timeout, cfg.Now = 10*time.Second, func() time.Time { return start }
	s, err := redis.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func BenchmarkSwap(b *testing.B) {
	storetest.BenchmarkSwap(b, open(b, redis.Config{Addresses: []string{servertest.NewRedis(b).Address()}}))
}
