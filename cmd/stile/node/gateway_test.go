package node_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
)

const proxied = `
gateway:
  listen: 127.0.0.1:0
  resources:
    news: { origin: "https://shop.example", path: /news, for: everyone }
    orders: { origin: "https://shop.example", path: /orders, audience: "https://shop.example", max_age: 5m }
`

func askGateway(t *testing.T, n *node.Node, uri string) int {
	t.Helper()
	return askAt(t, "http://"+n.GatewayAddr().String(), uri)
}

func askAt(t *testing.T, base, uri string) int {
	t.Helper()
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

// The gateway answers on an address of its own, and only there.
func TestGateway(t *testing.T) {
	t.Parallel()
	n := standing(t, folder(t, proxied))
	for uri, want := range map[string]int{"/news": 200, "/orders": 401, "/": 403} {
		if got := askGateway(t, n, uri); got != want {
			t.Errorf("%s: %d, want %d", uri, got, want)
		}
	}
	if got := askAt(t, n.URL(), "/news"); got != http.StatusNotFound {
		t.Errorf("on the other address: %d", got)
	}
	if got := standing(t, folder(t, "")).GatewayAddr(); got != nil {
		t.Errorf("without configuration there is a gateway on %s", got)
	}
}

// A node whose app's secret is not there does not start.
func TestGatewayWithoutASecret(t *testing.T) {
	t.Parallel()
	app := `  apps: { shop: { origin: "https://shop.example", client_id: shop, client_secret: { file: absent }, audience: "https://shop.example", cookie: __Host-shop } }`
	n, err := node.Start(t.Context(), folder(t, proxied+app+"\n"), node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "gateway.apps.shop.client_secret") {
		t.Errorf("%v", err)
	}
	if n != nil {
		check(t, n.Shutdown(t.Context()))
	}
}

// Another map is active as a whole, or what was stays.
func TestGatewayReloaded(t *testing.T) {
	t.Parallel()
	n := standing(t, folder(t, proxied))
	next := folder(t, strings.Replace(proxied, "/news", "/today", 1)).Gateway
	check(t, n.UseGateway(next))
	for uri, want := range map[string]int{"/news": 403, "/today": 200, "/orders": 401} {
		if got := askGateway(t, n, uri); got != want {
			t.Errorf("%s: %d, want %d", uri, got, want)
		}
	}
	wrong := next
	wrong.Resources = maps.Clone(wrong.Resources)
	wrong.Resources["all"] = config.Resource{Origin: "https://shop.example", Path: "/", For: "nobody"}
	if err := n.UseGateway(wrong); err == nil || !strings.Contains(err.Error(), `it is for "nobody"`) {
		t.Errorf("%v", err)
	}
	moved := next
	moved.Listen = "127.0.0.1:1"
	if err := n.UseGateway(moved); err == nil {
		t.Error("it has moved")
	}
	if got := askGateway(t, n, "/today"); got != 200 {
		t.Errorf("afterwards: %d", got)
	}
}

// Decisions are counted, each; refusals are in the audit trail, once a minute of each kind.
func TestRefusalsAreRecorded(t *testing.T) {
	t.Parallel()
	cfg := folder(t, proxied+"audit: { to: file }\n")
	n := standing(t, cfg)
	for _, uri := range []string{"/news", "/news", "/orders", "/orders", "/orders", "/nowhere", "/elsewhere"} {
		askGateway(t, n, uri)
	}
	text, err := os.ReadFile(cfg.Audit.Path)
	check(t, err)
	for line, want := range map[string]int{`"target":"orders","reason":"no_credentials"`: 1, `"reason":"access_denied"`: 1, `"target":"news"`: 0} {
		if got := strings.Count(string(text), line); got != want {
			t.Errorf("%s is recorded %d times, want %d", line, got, want)
		}
	}
	resp, err := http.Get(n.URL() + "/metrics")
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, errors.Join(err, resp.Body.Close()))
	for _, want := range []string{`{decision="passed",resource="news"} 2`, `{decision="no_credentials",resource="orders"} 3`, `{decision="access_denied",resource=""} 2`} {
		if !strings.Contains(string(body), "stile_gateway_decisions_total"+want) {
			t.Errorf("no %s", want)
		}
	}
}
