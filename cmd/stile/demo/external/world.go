package external

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
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
	*story.House
	identity *oidctest.Provider // outside: it knows who people are
	rights   *entitlements      // inside: it knows what they may do
	shop     *shop
	device   *app.Device
}

func open(ctx context.Context, opts story.Options) (w *world, err error) {
	w = &world{}
	w.House, err = story.NewHouse(opts, "external")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("external: %w", err), w.Close())
		}
	}()
	if err != nil {
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
	w.Later(w.identity.Close)
	if w.rights, err = w.openEntitlements(ctx, secret); err != nil {
		return w, err
	}
	flows := strings.NewReplacer("ENTITLEMENTS", w.rights.url, "SECRET", filepath.Join(w.Folder, "calls.secret")).Replace(flowsYAML)
	err = w.Start(ctx, map[string]string{
		"flows/flows.yaml": flows, "calls.secret": secret, "provider.secret": ours,
		"stile.yaml": fmt.Sprintf("listen: 127.0.0.1:0\ndata_dir: data\ndefinitions: flows\n"+
			"providers: { corporate: { issuer: %q, client_secret: { file: provider.secret }, network: loopback } }\n", w.identity.Issuer()),
	})
	if err != nil {
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
	if w.shop, err = w.openShop(ctx); err != nil {
		return w, err
	}
	w.device, err = app.NewDevice(app.DeviceConfig{Now: opts.Now, Biometrics: func() bool { return true }})
	return w, err
}

// Places implements [story.World].
func (w *world) Places() []story.Place {
	return []story.Place{{Name: "identity server", URL: w.identity.Issuer()}, {Name: "entitlements", URL: w.rights.url}, {Name: "Stile", URL: w.Node.URL()}, {Name: "shop", URL: w.shop.url}}
}

// register makes an account that is linked to the identity, and says what it may do.
func (w *world) register(ctx context.Context, name string, may permissions) error {
	registrar, err := w.Node.Base.Registrar("Stile demo", w.Now)
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
		StileURL: w.Node.URL(), ClientID: "shop-app", RedirectURI: "com.shop.app:/oauth2", Device: w.device, Browser: browser, Now: w.Now,
		HTTPClient: w.Client(),
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
