package service

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/stile-auth/stile/propagation/gateway"
)

// server is something that answers, on a port of its own.
type server struct {
	url  string
	http *http.Server
}

func listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

func serve(l net.Listener, h http.Handler) *server {
	s := &server{url: "http://" + l.Addr().String(), http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = s.http.Serve(l) }()
	return s
}

// shop is the API: it says who it takes the caller for, and believes what it is told.
func shop() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"caller": r.Header.Get(gateway.HeaderSubject), "scope": r.Header.Get(gateway.HeaderScope),
		})
	})
}

// proxy asks the gateway about each request, as Traefik does, and passes on what may
// pass, with what the gateway says of the caller.
type proxy struct {
	gate   string
	client *http.Client
	app    *httputil.ReverseProxy
}

func newProxy(gate, app string, client *http.Client) (*proxy, error) {
	to, err := url.Parse(app)
	if err != nil {
		return nil, err
	}
	return &proxy{gate: gate, client: client, app: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}}, nil
}

// ServeHTTP asks, and passes on.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.gate+gateway.PathForwarded, http.NoBody)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	ask.Header = r.Header.Clone()
	for name, value := range map[string]string{"Method": r.Method, "Host": r.Host, "Uri": r.RequestURI} {
		ask.Header.Set("X-Forwarded-"+name, value)
	}
	got, err := p.client.Do(ask)
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
		_, _ = copyBody(w, got.Body)
		return
	}
	for name := range r.Header {
		if strings.HasPrefix(strings.ToLower(name), "stile") {
			delete(r.Header, name)
		}
	}
	for _, name := range gateway.Headers() {
		r.Header.Set(name, got.Header.Get(name))
	}
	p.app.ServeHTTP(w, r)
}
