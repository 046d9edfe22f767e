package node_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/node"
)

const proxied = `
gateway:
  listen: 127.0.0.1:0
  resources:
    news: { origin: "https://shop.example", path: /news, for: everyone }
    orders: { origin: "https://shop.example", path: /orders, audience: "https://shop.example", max_age: 5m }
`

// The gateway answers on an address of its own, and only there.
func TestGateway(t *testing.T) {
	t.Parallel()
	n := standing(t, folder(t, proxied))
	ask := func(base, uri string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/forwarded", http.NoBody)
		check(t, err)
		for name, value := range map[string]string{"Method": "GET", "Host": "shop.example", "Uri": uri} {
			r.Header.Set("X-Forwarded-"+name, value)
		}
		resp, err := http.DefaultClient.Do(r)
		check(t, err)
		check(t, resp.Body.Close())
		return resp.StatusCode
	}
	gate := "http://" + n.GatewayAddr().String()
	for uri, want := range map[string]int{"/news": 200, "/orders": 401, "/": 403} {
		if got := ask(gate, uri); got != want {
			t.Errorf("%s: %d, want %d", uri, got, want)
		}
	}
	if got := ask(n.URL(), "/news"); got != http.StatusNotFound {
		t.Errorf("on the other address: %d", got)
	}
	if got := standing(t, folder(t, "")).GatewayAddr(); got != nil {
		t.Errorf("without configuration there is a gateway on %s", got)
	}
}

// What is wrong with the map is found at the start.
func TestGatewayOfABadMap(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]string{
		`    stock: { origin: "https://shop.example", path: /stock }`:            "names no audience",
		`    stock: { origin: "https://shop.example/", path: /stock, for: app }`: "origin",
		"  proxies: [somewhere]":                         `"somewhere" is no network`,
		"  api_keys: { till: { hash: x, for: [news] } }": "no resource of that name is for apps",
	} {
		cfg := folder(t, proxied+more+"\n")
		if n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
			if n != nil {
				check(t, n.Shutdown(t.Context()))
			}
		}
	}
}
