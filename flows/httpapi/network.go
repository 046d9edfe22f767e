package httpapi

import (
	"net"
	"net/http"
	"net/netip"
)

// What is handed out to one customer, or little more: who has it has all its addresses.
const (
	network4 = 24
	network6 = 64
)

// networkOf is the network that a request comes from, "" if that says nothing of
// who sent it: an address that is not public is a proxy's, or of a network of one's own.
func networkOf(r *http.Request) string {
	addr, ok := addressOf(r)
	if !ok || !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return ""
	}
	bits := network6
	if addr.Is4() {
		bits = network4
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return network.String()
}

// addressOf is the address of the connection; never a header: anybody can write one.
func addressOf(r *http.Request) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	return addr.Unmap().WithZone(""), err == nil
}
