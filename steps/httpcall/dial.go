package httpcall

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// errAddress reports an address that a service may not have.
var errAddress = errors.New("refused address")

// checkURL refuses at load what can be seen to lead astray; the address itself
// is checked when it is dialled.
func (c Config) checkURL(text string, loopback bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return fmt.Errorf("url: %q is no absolute URL", text)
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case u.User != nil:
		return errors.New("url: no user may stand in it")
	case u.Fragment != "":
		return errors.New("url: no fragment may stand in it")
	case loopback && !localHost(host):
		return errors.New("insecure_loopback: the url does not lead to this machine")
	case u.Scheme == "http" && loopback:
		return nil
	case u.Scheme != "https":
		return errors.New("url: expected https; http is for this machine, with insecure_loopback: true")
	}
	return c.checkHost(host, loopback)
}

func localHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// checkHost refuses addresses in the place of names, and numbers that some
// resolvers take for addresses: 2130706433, 0x7f.1.
func (c Config) checkHost(host string, loopback bool) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return checkAddress(ip, c.allowed(host, loopback))
	}
	last := host[strings.LastIndex(host, ".")+1:]
	if last == "" || last[0] >= '0' && last[0] <= '9' {
		return fmt.Errorf("url: %q is no name of a host", host)
	}
	return nil
}

// allowed says what the host may be at besides public addresses.
func (c Config) allowed(host string, loopback bool) allowance {
	listed := slices.ContainsFunc(c.Private, func(p string) bool { return strings.EqualFold(p, host) })
	return allowance{loopbackOnly: loopback, private: listed}
}

type allowance struct {
	loopbackOnly bool // this machine and nothing else
	private      bool
}

// transport trusts neither the environment nor what names resolve to. It keeps
// no connections: each call is checked anew.
func (c Config) transport(loopback bool) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.dial(ctx, network, address, loopback)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
		TLSHandshakeTimeout:    maxTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}

// dial tries a host's addresses in turn.
func (c Config) dial(ctx context.Context, network, address string, loopback bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := c.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	may := c.allowed(host, loopback)
	dialer := &net.Dialer{
		Timeout: maxTimeout,
		// The last word on where the connection goes: nothing is resolved after it.
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %s", errAddress, address)
			}
			return checkAddress(ap.Addr(), may)
		},
	}
	errs := []error{errors.New("no address can be reached")}
	for _, a := range addresses {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (c Config) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	return c.Lookup(ctx, host)
}

// private are the ranges of inner networks: a host that is listed may be there.
func private() []string {
	return []string{"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"}
}

// special are ranges where no service is (RFC 6890 and IANA's registries), with
// the tunnels that lead into IPv4 again and the place where clouds keep credentials.
func special() []string {
	return []string{
		"0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
		"5f00::/16", "fe80::/10", "fec0::/10", "ff00::/8",
	}
}

// checkAddress judges one address that is about to be connected to.
func checkAddress(ip netip.Addr, may allowance) error {
	ip = plain(ip)
	inner := within(ip, private())
	switch {
	case may.loopbackOnly && ip.IsLoopback():
		return nil
	case may.loopbackOnly, ip.Zone() != "":
	case inner && may.private:
		return nil
	case !inner && !within(ip, special()):
		return nil
	}
	return fmt.Errorf("%w: %s", errAddress, ip)
}

// plain returns the IPv4 address that a mapped address is, or that a NAT64
// address leads to (RFC 4291 §2.5.5.2, RFC 6052 §2.1).
func plain(ip netip.Addr) netip.Addr {
	if ip.Zone() == "" && netip.MustParsePrefix("64:ff9b::/96").Contains(ip) {
		b := ip.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip.Unmap()
}

func within(ip netip.Addr, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(ip) })
}
