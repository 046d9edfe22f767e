package external

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/oidcclient/oidctest"
)

//go:embed flows.yaml
var flowsYAML string

const (
	shopPhone = "shop-phone" // our app, as the identity server knows it
	game      = "a-game"     // somebody else's, on the same phone
)

// world is everybody who takes part, each on its own port.
type world struct {
	opts     Options
	folder   string
	identity *oidctest.Provider // outside: it knows who people are
	rights   *entitlements      // inside: it knows what they may do
	node     *node.Node
	shop     *shop
	device   *app.Device
	wire     *http.Transport
}

func open(ctx context.Context, opts Options) (w *world, err error) {
	w = &world{opts: opts, wire: &http.Transport{ResponseHeaderTimeout: 30 * time.Second}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("external: %w", err), w.close())
		}
	}()
	if w.folder, err = os.MkdirTemp("", "stile-external-"); err != nil {
		return w, err
	}
	secret, ours := rand.Text()+rand.Text(), rand.Text()
	w.identity, err = oidctest.Start(oidctest.Config{
		Now: opts.Now, AccessTokenTTL: time.Hour,
		Clients: []oidctest.Client{{ID: "stile", Secret: ours}, {ID: shopPhone}, {ID: game}},
		Users:   []oidctest.User{{Username: "jane", Password: "nobody types it"}, {Username: "ada", Password: "nobody types it"}},
	})
	if err != nil {
		return w, err
	}
	if w.rights, err = openEntitlements(ctx, secret, opts.Now); err != nil {
		return w, err
	}
	if err = w.startNode(ctx, secret, ours); err != nil {
		return w, err
	}
	for name, may := range map[string]permissions{
		"jane": {Permissions: []string{readOrders}, Roles: []string{"customer"}},
		"ada":  {Permissions: []string{readOrders}, Roles: []string{"customer", roleAdmin}},
	} {
		if err = w.register(ctx, name, may); err != nil {
			return w, err
		}
	}
	if w.shop, err = openShop(ctx, w.node.URL(), opts.Now); err != nil {
		return w, err
	}
	w.device, err = app.NewDevice(app.DeviceConfig{Now: opts.Now, Biometrics: func() bool { return true }})
	return w, err
}

// startNode starts Stile as "stile serve" would.
func (w *world) startNode(ctx context.Context, secret, ours string) error {
	flows := strings.NewReplacer("ENTITLEMENTS", w.rights.url, "SECRET", filepath.Join(w.folder, "calls.secret")).Replace(flowsYAML)
	files := map[string]string{
		"flows/flows.yaml": flows, "calls.secret": secret, "provider.secret": ours,
		"stile.yaml": fmt.Sprintf("listen: 127.0.0.1:0\ndata_dir: data\ndefinitions: flows\n"+
			"providers: { corporate: { issuer: %q, client_secret: { file: provider.secret }, network: loopback } }\n", w.identity.Issuer()),
	}
	for name, text := range files {
		path := filepath.Join(w.folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	cfg, err := config.Load(filepath.Join(w.folder, "stile.yaml"))
	if err != nil {
		return err
	}
	logger := w.opts.Logger
	if logger == nil {
		logger = zap.NewNop()
	}
	w.node, err = node.Start(ctx, cfg, node.Options{Logger: logger, Now: w.opts.Now})
	return err
}

// register makes an account that is linked to the identity, and says what it may do.
func (w *world) register(ctx context.Context, name string, may permissions) error {
	registrar, err := w.node.Base.Registrar("Stile demo", w.opts.Now)
	if err != nil {
		return err
	}
	added, err := registrar.Add(ctx, users.Person{Login: name, Links: []users.Link{{Issuer: w.identity.Issuer(), Subject: name}}})
	if err != nil {
		return err
	}
	w.rights.of[added.Subject] = may
	return nil
}

// signOn is the identity server's own software on the phone: what it gives the app.
func (w *world) signOn(who, client, nonce string) (oidctest.NativeTokens, error) {
	return w.identity.SignOnNatively(oidctest.Native{Client: client, Username: who, Nonce: nonce})
}

// phone is the app, which answers Stile's prompt with that access token, or with a
// fresh ID token that has Stile's nonce.
func (w *world) phone(who, access string) (*app.App, error) {
	browser, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: who, Password: "nobody types it"}})
	if err != nil {
		return nil, err
	}
	return app.New(app.Config{
		StileURL: w.node.URL(), ClientID: "shop-app", RedirectURI: "com.shop.app:/oauth2", Device: w.device, Browser: browser, Now: w.opts.Now,
		HTTPClient: &http.Client{Transport: &app.Wire{Who: "app", Next: w.wire, Cut: w.opts.Cut}},
		Answers: map[string]func(json.RawMessage) (map[string]any, error){
			"EXTERNAL_TOKEN_REQUIRED": func(data json.RawMessage) (map[string]any, error) {
				var asked struct{ Accept, Nonce string }
				if err := json.Unmarshal(data, &asked); err != nil {
					return nil, err
				}
				if asked.Accept == "id_token" {
					tokens, err := w.signOn(who, shopPhone, asked.Nonce)
					return map[string]any{"idToken": tokens.ID}, err
				}
				return map[string]any{"accessToken": access}, nil
			},
		},
	})
}

func (w *world) close() error {
	var errs []error
	if w.shop != nil {
		errs = append(errs, w.shop.server.Close())
	}
	if w.node != nil {
		errs = append(errs, w.node.Shutdown(context.Background())) // also when the story was cut short
	}
	if w.rights != nil {
		errs = append(errs, w.rights.server.Close())
	}
	if w.identity != nil {
		errs = append(errs, w.identity.Close())
	}
	w.wire.CloseIdleConnections()
	if w.folder != "" {
		errs = append(errs, os.RemoveAll(w.folder))
	}
	return errors.Join(errs...)
}

// print prints the text, or the object if it is for machines. What is lost on the
// way to a reader who has gone is no part of the story.
func (w *world) print(text string, object map[string]any) {
	if !w.opts.JSON {
		_, _ = fmt.Fprint(w.opts.Out, text)
		return
	}
	enc := json.NewEncoder(w.opts.Out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(object)
}
