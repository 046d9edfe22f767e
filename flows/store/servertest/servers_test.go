//go:build unix

package servertest_test

import (
	"net"
	"os"
	"testing"

	"github.com/stile-auth/stile/flows/store/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// Each server starts, stops and starts again with its data, and ends with the test that started it.
func TestServers(t *testing.T) { //nolint:tparallel // what they started is looked for when they are over
	t.Parallel()
	var addresses []string
	t.Run("all", func(t *testing.T) {
		t.Run("postgres", func(t *testing.T) {
			s := servertest.NewPostgres(t)
			addresses = append(addresses, s.Address(), servertest.PgBouncer(t, s))
			name := s.Database(t, "")
			s.Exec(t, name, "CREATE TABLE x (y int)")
			s.Stop(t)
			s.Start(t)
			s.Exec(t, name, "INSERT INTO x VALUES (1)")
			s.Crash(t)
			s.Start(t)
			s.Exec(t, s.Database(t, name), "SELECT 1 / y FROM x")
		})
		t.Run("redis", func(t *testing.T) {
			s := servertest.NewRedis(t)
			addresses = append(addresses, s.Address())
			s.Ask(t, "SET", "a", "b")
			s.Crash(t)
			s.Start(t)
			if got := s.Ask(t, "GET", "a"); got != "b" {
				t.Errorf("after a crash: %q", got)
			}
		})
		t.Run("cluster", func(t *testing.T) { addresses = append(addresses, servertest.RedisCluster(t).Addresses()...) })
		t.Run("sentinels", func(t *testing.T) { addresses = append(addresses, servertest.RedisSentinels(t).Addresses()...) })
	})
	for _, address := range addresses {
		if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
			c.Close()
			t.Errorf("somebody still listens on %s", address)
		}
	}
}
