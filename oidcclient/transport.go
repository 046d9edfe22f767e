package oidcclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

const maxBody = 1 << 20

var (
	// errUnusable reports an answer that nothing can be made of.
	errUnusable = errors.New("the answer is not usable")
	// errAddress reports an address that a provider cannot have.
	errAddress = errors.New("oidcclient: refused address")
)

// noRedirect hands a redirect back as an answer: secrets go where the metadata
// say, and nowhere else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// strict reads each answer whole, within bounds, and refuses successes that are
// not JSON or that two parsers could read differently.
type strict struct {
	inner   http.RoundTripper
	unasked bool // what a success says is of no interest (RFC 7009 §2.2)
}

// RoundTrip implements [http.RoundTripper].
func (s strict) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Accept", "application/json")
	resp, err := s.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%w: over 1 MiB", errUnusable)
	}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 && !s.unasked {
		if err := checkAnswer(req.Context(), resp.Header, body); err != nil {
			return nil, err
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// listed marks requests whose answer may be a list too.
type listed struct{}

func checkAnswer(ctx context.Context, h http.Header, body []byte) error {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return fmt.Errorf("%w: it is not JSON", errUnusable)
	}
	if list := bytes.TrimLeft(body, " \t\r\n"); ctx.Value(listed{}) != nil && len(list) > 0 && list[0] == '[' {
		return checkJSON(inObject(body))
	}
	return checkJSON(body)
}

// Network is where a provider may be. It is asked about each address that is about
// to be connected to: what a name resolves to may change.
type Network string

// The networks. Link-local addresses, where clouds keep their credentials, are in none.
const (
	Public   Network = ""         // addresses that everybody reaches
	Private  Network = "private"  // those, and the ones of private networks
	Loopback Network = "loopback" // those of Public, and this machine, by plain HTTP too: for trials
)

// Transport carries requests to addresses that others have chosen: it connects only to
// those that are in the network, and trusts neither the environment nor what names resolve to.
func Transport(n Network, roots *x509.CertPool) *http.Transport {
	return newTransport(Config{Network: n, RootCAs: roots})
}

// newTransport makes a transport with connections of its own, which trusts neither
// the environment nor what names resolve to.
func newTransport(cfg Config) *http.Transport {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error { return checkAddress(address, cfg.Network) },
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
	if c := cfg.Authentication.Certificate; c != nil {
		secured.Certificates = []tls.Certificate{*c}
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        secured,
		TLSHandshakeTimeout:    5 * time.Second,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        64,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// checkAddress is asked about each address that is about to be connected to.
func checkAddress(address string, n Network) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", errAddress, address)
	}
	ip := embedded(ap.Addr().Unmap())
	switch {
	case ip.IsLoopback() && n == Loopback:
		return nil
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), within(ip, reserved()):
		return fmt.Errorf("%w: %s", errAddress, ip)
	case n != Private && (ip.IsPrivate() || within(ip, shared())):
		return fmt.Errorf("%w: %s is of a private network", errAddress, ip)
	}
	return nil
}

// reserved are addresses that lead nowhere, or somewhere that they do not say (RFC 6890).
func reserved() []string {
	return []string{"0.0.0.0/8", "192.0.0.0/24", "240.0.0.0/4", "2001::/32", "2002::/16", "64:ff9b:1::/48"}
}

// shared are private addresses that netip does not count among them.
func shared() []string { return []string{"100.64.0.0/10", "198.18.0.0/15"} }

func within(ip netip.Addr, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(ip) })
}

// embedded returns the IPv4 address that a NAT64 address leads to (RFC 6052).
func embedded(ip netip.Addr) netip.Addr {
	if !netip.MustParsePrefix("64:ff9b::/96").Contains(ip) {
		return ip
	}
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}
