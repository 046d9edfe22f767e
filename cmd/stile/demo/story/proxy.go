package story

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/stile-auth/stile/propagation/gateway"
)

// Proxy asks the gateway about each request, as Traefik does, and passes on what may pass,
// with what the gateway says of the caller. What is below /bff/ is the gateway's own.
type Proxy struct {
	gate   string
	wire   http.RoundTripper
	app    http.Handler
	signIn http.Handler
}

// NewProxy makes a proxy in front of an application.
func NewProxy(gate, app string, wire http.RoundTripper) (*Proxy, error) {
	p := &Proxy{gate: gate, wire: wire}
	for to, handler := range map[string]*http.Handler{gate: &p.signIn, app: &p.app} {
		u, err := url.Parse(to)
		if err != nil {
			return nil, err
		}
		*handler = &httputil.ReverseProxy{Transport: wire, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host
		}}
	}
	return p, nil
}

// ServeHTTP asks, and passes on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, gateway.PathApp) {
		p.signIn.ServeHTTP(w, r)
		return
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.gate+gateway.PathForwarded, http.NoBody)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	ask.Header = r.Header.Clone()
	for name, value := range map[string]string{"Method": r.Method, "Host": r.Host, "Uri": r.RequestURI} {
		ask.Header.Set("X-Forwarded-"+name, value)
	}
	got, err := p.wire.RoundTrip(ask)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		for _, name := range []string{"Www-Authenticate", "Content-Type", "Cache-Control"} {
			w.Header()[name] = got.Header.Values(name)
		}
		w.WriteHeader(got.StatusCode)
		_, _ = io.Copy(w, io.LimitReader(got.Body, maxBody))
		return
	}
	for name := range r.Header {
		if strings.HasPrefix(strings.ToLower(name), "stile") {
			delete(r.Header, name)
		}
	}
	for _, name := range append(gateway.Headers(), "Authorization", "Cookie") {
		r.Header.Del(name)
		if value := got.Header.Get(name); value != "" {
			r.Header.Set(name, value)
		}
	}
	p.app.ServeHTTP(w, r)
}
