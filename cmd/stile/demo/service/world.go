package service

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/directory"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

//go:embed flows.yaml
var flowsYAML string

//go:embed stile.yaml
var stileYAML string

// world is everybody who takes part, each on its own port.
type world struct {
	*story.House
	staff   *directory.Directory
	shop    string // nobody but the proxy knows where it is
	proxy   string
	secrets map[string]string // of the service accounts
	tokens  map[string]string // that they have got
}

func open(ctx context.Context, opts story.Options) (w *world, err error) {
	w = &world{secrets: map[string]string{}, tokens: map[string]string{}}
	w.House, err = story.NewHouse(opts, "service")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("service: %w", err), w.Close())
		}
	}()
	if err != nil {
		return w, err
	}
	password := rand.Text()
	if err = w.startDirectory(password); err != nil {
		return w, err
	}
	front, at, err := w.Listen(ctx) // the gateway has to know by what name the proxy is reached
	if err != nil {
		return w, err
	}
	err = w.Start(ctx, map[string]string{
		"flows/flows.yaml": flowsYAML, "stile.yaml": strings.NewReplacer("ORIGIN", at, "LDAP", w.staff.URL).Replace(stileYAML),
		"ca.pem": string(w.staff.CA), "ldap-password": password,
	})
	if err != nil {
		return w, err
	}
	behind, shopAt, err := w.Listen(ctx)
	if err != nil {
		return w, err
	}
	w.Serve(behind, shop())
	p, err := story.NewProxy("http://"+w.Node.GatewayAddr().String(), shopAt, w.Wire)
	if err != nil {
		return w, err
	}
	w.Serve(front, p)
	w.shop, w.proxy = shopAt, at
	return w, nil
}

// Places implements [story.World].
func (w *world) Places() []story.Place {
	return []story.Place{{Name: "Stile", URL: w.Node.URL()}, {Name: "directory", URL: w.staff.URL}, {Name: "gateway", URL: w.Node.GatewayAddr().String()}, {Name: "proxy", URL: w.proxy}}
}

// The names of entries.
const (
	reader   = "cn=stile,dc=shop,dc=example"
	services = "ou=services,dc=shop,dc=example"
	writers  = "cn=order-writers,ou=groups,dc=shop,dc=example"
)

// startDirectory starts the directory of the shop, with its service accounts.
func (w *world) startDirectory(password string) (err error) {
	entries := []directory.Entry{
		{DN: reader, Password: password},
		{DN: writers, Attributes: map[string][]string{"cn": {"order-writers"}, "member": {"cn=warehouse," + services}}},
	}
	for name, scopes := range map[string]string{"reporting": "orders.read", "warehouse": "orders.read customers.read"} {
		w.secrets[name] = rand.Text() + rand.Text()
		entries = append(entries, directory.Entry{DN: "cn=" + name + "," + services, Password: w.secrets[name], Attributes: map[string][]string{
			"objectclass": {"account"}, "uid": {name}, "description": {scopes},
		}})
	}
	if w.staff, err = directory.Open(reader, entries...); err == nil {
		w.Later(w.staff.Close)
	}
	return err
}
