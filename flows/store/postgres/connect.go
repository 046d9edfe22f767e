package postgres

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lifetime is how long a connection serves: long enough to cost nothing, short
// enough to follow a server that moved.
const lifetime = 30 * time.Minute

// pool is the configuration of the connections.
func (cfg Config) pool() (*pgxpool.Config, error) {
	address, err := cfg.address()
	if err != nil {
		return nil, err
	}
	c, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("postgres: the URL of the database: %w", err) // pgx takes the password out of it
	}
	if cfg.Password != "" {
		c.ConnConfig.Password = cfg.Password
	}
	timeout := cmp.Or(cfg.Timeout, defaultTimeout)
	c.MaxConns = int32(min(cmp.Or(cfg.Connections, defaultConnections), 10_000)) //nolint:gosec // it fits
	c.MaxConnLifetime, c.MaxConnLifetimeJitter = lifetime, lifetime/10
	c.PingTimeout, c.ConnConfig.ConnectTimeout = timeout, timeout
	settings := map[string]string{"application_name": "stile"}
	if cfg.PgBouncer {
		c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		c.ConnConfig.StatementCacheCapacity, c.ConnConfig.DescriptionCacheCapacity = 0, 0
	} else {
		ms := strconv.FormatInt(timeout.Milliseconds(), 10)
		settings["statement_timeout"], settings["idle_in_transaction_session_timeout"] = ms, ms
		settings["default_transaction_isolation"], settings["jit"] = "read committed", "off"
	}
	switch {
	case cfg.Durability == "" || cfg.Durability == "full":
	case cfg.Durability != "normal":
		return nil, fmt.Errorf("postgres: durability %q is neither full nor normal", cfg.Durability)
	case cfg.PgBouncer:
		return nil, fmt.Errorf("postgres: behind a pooler durability is a setting of the user of the database: ALTER ROLE ... SET synchronous_commit = off")
	default:
		settings["synchronous_commit"] = "off"
	}
	for name, value := range settings {
		c.ConnConfig.RuntimeParams[name] = value
	}
	return c, nil
}

// verified are the modes that believe no other server than the right one.
const verified = "verify-full"

// address is the URL with a mode of TLS that is safe.
func (cfg Config) address() (string, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
		return "", fmt.Errorf("postgres: the address of the database has to be postgres://USER@HOST:PORT/NAME")
	}
	q := u.Query()
	local := true
	for _, host := range strings.Split(cmp.Or(q.Get("host"), u.Host), ",") {
		local = local && here(host)
	}
	switch mode := q.Get("sslmode"); {
	case local && mode == "":
		q.Set("sslmode", "disable")
	case mode == "":
		q.Set("sslmode", verified)
	case !local && mode != verified && !cfg.InsecureNetwork:
		return "", fmt.Errorf("postgres: sslmode=%s believes whoever answers; a server that is not on this machine needs %s", mode, verified)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// here says whether a host is this machine: a folder of sockets or a loopback address.
func here(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}
