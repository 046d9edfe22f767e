package httpcall_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/steps/httpcall"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// refused are addresses where no service may be, however they are written.
var refused = []string{
	"127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
	"100.127.255.255", "0.0.0.0", "0.1.2.3", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "64:ff9b::a9fe:a9fe",
	"64:ff9b::10.0.0.1", "64:ff9b::100.64.0.1", "64:ff9b:1::10.0.0.1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1",
	"ff02::1", "2002:a00:1::1", "2001:0:a00:1::1", "2001:db8::1",
}

// A name may lead anywhere: the address is judged when it is dialled.
func TestNamesThatLeadInside(t *testing.T) {
	t.Parallel()
	for _, address := range refused {
		s, err := load(t, httpcall.Config{Lookup: names([]string{address})}, `url: "https://risk.bank.example"`)
		if err != nil {
			t.Fatal(err)
		}
		if err := wantUnavailable(t, address, s); err != nil && !strings.Contains(err.Error(), "refused address") {
			t.Errorf("%s: not refused but %v", address, err)
		}
	}
}

func TestURLsThatDoNotLoad(t *testing.T) {
	t.Parallel()
	urls := []string{
		"", "risk.bank.example", "/decide", "http://risk.bank.example", "http://localhost", "http://127.0.0.1",
		"ftp://risk.bank.example", "file:///etc/passwd", "gopher://risk.bank.example", "https:risk.bank.example", "https://",
		"https://x@10.0.0.1", "https://jane:pw@risk.bank.example", "https://risk.bank.example#x", "https://2130706433",
		"https://0x7f000001", "https://127.1", "https://017700000001", "https://risk.bank.example.", "https://[fe80::1%25eth0]",
		"https://risk.bank.example:port",
	}
	for _, a := range refused {
		if strings.Contains(a, ":") {
			a = "[" + a + "]"
		}
		urls = append(urls, "https://"+a)
	}
	for _, u := range urls {
		if _, err := load(t, httpcall.Config{}, `url: "`+u+`"`); !errors.As(err, new(flowdefs.Problems)) {
			t.Errorf("%s: %v", u, err)
		}
	}
	for _, u := range []string{"https://risk.bank.example/a?b=c", "https://93.184.216.34", "https://[2606:2800:220:1::1]:8443"} {
		if _, err := load(t, httpcall.Config{}, `url: "`+u+`"`); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// insecure_loopback is about this machine alone.
func TestLoopback(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"http://risk.bank.example", "https://risk.bank.example", "http://10.0.0.1", "http://[fe80::1]", "http://127.0.0.1.nip.io"} {
		if _, err := load(t, httpcall.Config{Private: []string{"10.0.0.1", "risk.bank.example"}}, `insecure_loopback: true, url: "`+u+`"`); err == nil {
			t.Errorf("%s loads", u)
		}
	}
	for _, address := range []string{"10.0.0.1", "93.184.216.34", "169.254.169.254", "::ffff:10.0.0.1"} {
		c := httpcall.Config{Lookup: names([]string{address}), Private: []string{"localhost"}}
		s, err := load(t, c, `insecure_loopback: true, url: "http://localhost:1"`)
		if err != nil {
			t.Fatal(err)
		}
		if err := wantUnavailable(t, address, s); err != nil && !strings.Contains(err.Error(), "refused address") {
			t.Errorf("localhost at %s: not refused but %v", address, err)
		}
	}
}

func TestListedHosts(t *testing.T) {
	t.Parallel()
	c, with := secure(t)
	c.Lookup = names([]string{"127.0.0.1"})
	for host, want := range map[string]string{"example.com": "done", "EXAMPLE.com": "done", "com": "", "other.example.com": "", "": ""} {
		c.Private = []string{host}
		s, err := load(t, c, with)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := enter(t, s); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is listed: %q, %v", host, got, err)
		}
	}
	c.Private = []string{"example.com"}
	for _, never := range []string{"169.254.169.254", "0.0.0.0", "fe80::1", "224.0.0.1", "2002:7f00:1::1", "::ffff:169.254.169.254"} {
		c.Lookup = names([]string{never})
		s, err := load(t, c, with)
		if err != nil {
			t.Fatal(err)
		}
		if err := wantUnavailable(t, never, s); err != nil && !strings.Contains(err.Error(), "refused address") {
			t.Errorf("listed, at %s: not refused but %v", never, err)
		}
	}
}

// A name that was good before may lead elsewhere the next time, or to several
// places at once: each address is judged when it is dialled, in every call.
func TestRebinding(t *testing.T) {
	t.Parallel()
	c, with := secure(t)
	c.Private = []string{"example.com"}
	c.Lookup = names([]string{"127.0.0.1"}, []string{"169.254.169.254"}, []string{"169.254.169.254", "fe80::1"}, []string{"169.254.169.254", "127.0.0.1"})
	s, err := load(t, c, with)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"done", "", "", "done"} {
		if got, err := enter(t, s); got != want || (err == nil) != (want != "") {
			t.Errorf("call %d: %q, %v; want %q", i+1, got, err, want)
		}
	}
}

// The certificate must be the host's.
func TestStrangersCertificate(t *testing.T) {
	t.Parallel()
	c, with := secure(t)
	c.Private, c.Lookup = []string{"example.com"}, names([]string{"127.0.0.1"})
	c.Roots = nil
	s, err := load(t, c, with)
	if err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, "unknown authority", s)
}

func TestNameThatDoesNotResolve(t *testing.T) {
	t.Parallel()
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	for _, c := range []httpcall.Config{{Lookup: lookup}, {Lookup: names(nil)}} {
		s, err := load(t, c, `url: "https://risk.bank.example"`)
		if err != nil {
			t.Fatal(err)
		}
		wantUnavailable(t, "no address", s)
	}
}

// A proxy of the environment would dial in our place, unchecked.
func TestProxiesAreNotUsed(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	c, with := secure(t)
	c.Private, c.Lookup = []string{"example.com"}, names([]string{"127.0.0.1"})
	s, err := load(t, c, with)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := enter(t, s); got != "done" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
