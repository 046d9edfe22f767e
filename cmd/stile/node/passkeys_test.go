package node_test

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/steps/webauthn"
)

const passkeyFlows = `
flows: { keys: { steps: [{ id: key, type: passkey }] } }
clients: { bench: { flows: [keys], dpop: optional } }
`

func withPasskeys(t *testing.T, text string) config.Config {
	t.Helper()
	cfg := folder(t, "store: { type: memory }\n"+text)
	write(t, filepath.Join(cfg.Definitions, "all.yaml"), passkeyFlows)
	return cfg
}

// Who passkeys are for comes from the configuration; what a request says of it does not count.
func TestPasskeysAreForWhomTheConfigurationSays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                    `"rpId":"localhost"`,
		"base_url: https://id.bank.example\n": `"rpId":"id.bank.example"`,
		"base_url: https://id.bank.example\npasskeys: { rp_id: bank.example, name: Bank, origins: [\"https://bank.example\", \"android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU\"] }\n": `"rpId":"bank.example"`,
	} {
		n, err := node.Start(t.Context(), withPasskeys(t, text), node.Options{Logger: zap.NewNop(), Now: time.Now, Unproved: true})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.Addr().String()+"/v1/flows", strings.NewReader(`{"clientId":"bench","flow":"keys"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Forwarded-Host", "evil.example")
		req.Header.Set("Origin", "https://evil.example")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil || !strings.Contains(string(got), want) || strings.Contains(string(got), "evil") {
			t.Errorf("%s: %v\n%s", text, err, got)
		}
		if err := n.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// What no authenticator would work with does not start.
func TestPasskeysThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an origin elsewhere":  "passkeys: { rp_id: bank.example, origins: [\"https://evil.example\"] }\n",
		"a domain elsewhere":   "base_url: https://id.bank.example\npasskeys: { rp_id: evil.example }\n",
		"origins elsewhere":    "base_url: https://id.bank.example\npasskeys: { origins: [\"https://bank.example\"] }\n",
		"no Android app":       "passkeys: { android: [com.bank.app] }\n",
		"no Apple app":         "passkeys: { apple: [com.bank.app] }\n",
		"no app for links":     "links: { android_apps: [com.bank.app] }\n",
		"no other for links":   "links: { apple_apps: [com.bank.app] }\n",
		"no metadata file":     "passkeys: { metadata: none.json }\n",
		"metadata of no form":  "passkeys: { metadata: stile.yaml }\n",
		"a step without party": "base_url: https://192.0.2.1\n",
	} {
		cfg := folder(t, "store: { type: memory }\n"+text) // nothing in it asks for passkeys
		if strings.HasPrefix(name, "a step") {
			cfg = withPasskeys(t, text)
		}
		n, err := node.Start(t.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now, Unproved: true})
		if err == nil {
			t.Errorf("%s: starts", name)
			_ = n.Shutdown(t.Context())
		}
	}
	if webauthn.Default("https://192.0.2.1").Check() == nil {
		t.Error("an address is a domain")
	}
}

// Phones are told which apps may use the passkeys, and these may.
func TestApps(t *testing.T) {
	t.Parallel()
	const certificate = "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5"
	n := start(t, folder(t, "passkeys: { android: [com.bank.app/"+certificate+"], apple: [ABCDE12345.com.bank.app] }\n"), node.Options{})
	for path, want := range map[string]string{
		"/.well-known/assetlinks.json": certificate, "/.well-known/apple-app-site-association": "ABCDE12345.com.bank.app",
	} {
		if status, body := get(t, n.URL()+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	opens := start(t, folder(t, "links: { android_apps: [com.bank.app/"+certificate+"], apple_apps: [ABCDE12345.com.bank.app] }\n"), node.Options{})
	for path, want := range map[string]string{
		"/.well-known/assetlinks.json": "handle_all_urls", "/.well-known/apple-app-site-association": `"/link/*"`,
	} {
		if status, body := get(t, opens.URL()+path); status != http.StatusOK || !strings.Contains(body, want) || strings.Contains(body, "cred") {
			t.Errorf("%s of apps that open links: %d %s", path, status, body)
		}
	}
	without := start(t, folder(t, ""), node.Options{})
	if status, body := get(t, without.URL()+"/.well-known/assetlinks.json"); status != http.StatusNotFound {
		t.Errorf("apps without any: %d %s", status, body)
	}
}
