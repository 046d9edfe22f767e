package gateway

import (
	"errors"
	"net/http"
	"strings"
)

// The paths that proxies ask at. The rest of [PathEnvoy] is the path of the request
// that is asked about.
const (
	PathNginx     = "/nginx"     // X-Original-Method, X-Original-Host, X-Original-URI
	PathForwarded = "/forwarded" // X-Forwarded-Method, X-Forwarded-Host, X-Forwarded-Uri: Caddy, Traefik
	PathEnvoy     = "/envoy"     // the question is like the request
)

// original is the request that a proxy asks about.
type original struct {
	method, host string
	uri          string // as it came in, with the query
	path         string // that is decided by
}

var errAsked = errors.New("gateway: this is not a question of a proxy")

// read finds out which request is asked about.
func read(r *http.Request) (original, error) {
	var o original
	var err error
	switch {
	case r.URL.Path == PathNginx:
		o, err = told(r.Header, "X-Original-Method", "X-Original-Host", "X-Original-Uri")
	case r.URL.Path == PathForwarded:
		o, err = told(r.Header, "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri")
	case strings.HasPrefix(r.RequestURI, PathEnvoy+"/"):
		o = original{method: r.Method, host: r.Host, uri: strings.TrimPrefix(r.RequestURI, PathEnvoy)}
	default:
		err = errAsked
	}
	if err != nil {
		return o, err
	}
	if strings.ContainsAny(o.method, ", \t") {
		return o, errAsked
	}
	path, _, _ := strings.Cut(o.uri, "?")
	o.path, err = canonical(path)
	return o, err
}

// told takes what three headers say; each has to be there once.
func told(h http.Header, method, host, uri string) (o original, err error) {
	if o.method, err = once(h, method); err != nil {
		return o, err
	}
	if o.host, err = once(h, host); err != nil {
		return o, err
	}
	o.uri, err = once(h, uri)
	return o, err
}

func once(h http.Header, name string) (string, error) {
	values := h[name]
	if len(values) != 1 || values[0] == "" {
		return "", errAsked
	}
	return values[0], nil
}

// smuggled says whether a question has headers that no client may send: ours, also
// in the spelling that some applications take for the same (RFC 3875 §4.1.18), and those
// that give the request another method, or another address, for some applications.
func smuggled(h http.Header) bool {
	for name := range h {
		if c := name[0] | 0x20; c != headerPrefix[0] && c != 'x' { // most names
			continue
		}
		switch plain := strings.ReplaceAll(strings.ToLower(name), "_", "-"); plain {
		case "x-http-method-override", "x-http-method", "x-method-override", "x-rewrite-url", "x-original-url":
			return true
		default:
			if strings.HasPrefix(plain, headerPrefix) {
				return true
			}
		}
	}
	return false
}
