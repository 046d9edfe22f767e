package config

import (
	"net"
	"net/url"
	"slices"
)

// problems are what the keys of a store mean together and should not.
func (s Store) problems() []string {
	var out []string
	bad := func(is bool, text string) {
		if is {
			out = append(out, text)
		}
	}
	u, err := url.Parse(s.URL)
	postgres := s.Type == "postgres"
	bad(postgres && (err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql"), "store.url has to be postgres://USER@HOST:PORT/NAME")
	if err == nil && u.User != nil {
		_, has := u.User.Password()
		bad(has || u.Query().Has("password"), "store.url holds a password; its place is store.password")
	}
	bad(!postgres && s.URL != "", "store.url is for store.type postgres")
	bad(postgres && s.Timeout == 0 || s.Runs.Timeout == 0, "store.timeout and store.runs.timeout must be above 0")
	bad(postgres && s.PgBouncer && s.Durability == "normal", "store.durability: behind a pooler it is what the server says")
	if s.Runs.Type == "same" {
		return out
	}
	bad(!postgres, "store.runs is for store.type postgres: what one machine keeps needs no second server")
	bad(len(s.Runs.Addresses) == 0, "store.runs.addresses is required with redis")
	bad(s.Runs.Mode == "sentinel" && s.Runs.Master == "", "store.runs.master is required with sentinels")
	bad(!s.Runs.TLS && !s.Runs.Insecure && slices.ContainsFunc(s.Runs.Addresses, elsewhere),
		"store.runs.tls must be true for servers on other machines, unless store.runs.insecure_network says that the network is nobody else's")
	return out
}

// elsewhere says whether an address is not one of this machine.
func elsewhere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err != nil || !loopback(host)
}
