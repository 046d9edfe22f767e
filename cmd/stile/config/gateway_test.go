package config_test

import (
	"strings"
	"testing"

	"github.com/stile-auth/stile/cmd/stile/config"
)

// What is wrong with the gateway is said where it stands.
func TestMistakesOfTheGateway(t *testing.T) {
	t.Parallel()
	const before = `gateway:
  listen: 127.0.0.1:0
  resources:
    news: { origin: "https://shop.example", path: /news, for: everyone }
`
	for more, want := range map[string]string{
		`    stock: { origin: "https://shop.example", path: /stock }`:                 "f.yaml:5:12: gateway.resources.stock: it is for tokens, and names no audience",
		`    stock: { origin: "https://shop.example/", path: /stock, for: app }`:      "f.yaml:5:12: gateway.resources.stock: the origin is not one",
		`    other: { origin: "https://shop.example", path: /news, for: app }`:        "f.yaml:5:12: gateway.resources.other: resources news and other are for the same requests",
		`    a: { origin: "https://shop.example", path: /a, audience: x, cookie: a }`: "f.yaml:5:8: gateway.resources.a: the name of the cookie",
		"  proxies: [somewhere]":                          `f.yaml:5:12: gateway.proxies: "somewhere" is no network`,
		"  api_keys:\n    till: { hash: x, for: [news] }": "f.yaml:6:11: gateway.api_keys.till: it is for the resource",
		"  apps:\n    shop: { origin: \"https://shop.example\", client_id: shop, audience: x }": "f.yaml:6:11: gateway.apps.shop: the client, its secret",
	} {
		if _, err := config.Parse("f.yaml", []byte(before+more+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	good := before + "  apps:\n    shop: { origin: \"https://shop.example\", client_id: shop, client_secret: { env: X }, audience: x, cookie: __Host-shop }\n"
	if _, err := config.Parse("f.yaml", []byte(good)); err != nil {
		t.Error(err)
	}
}
