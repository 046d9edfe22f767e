package service

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/demo/directory"
	"github.com/stile-auth/stile/cmd/stile/node"
)

//go:embed flows.yaml
var flowsYAML string

//go:embed stile.yaml
var stileYAML string

// world is everybody who takes part, each on its own port.
type world struct {
	opts    Options
	folder  string
	node    *node.Node
	staff   *directory.Directory
	shop    *server // nobody but the proxy knows where it is
	proxy   *server
	secrets map[string]string // of the service accounts
	tokens  map[string]string // that they have got
	client  *http.Client
}

func open(ctx context.Context, opts Options) (w *world, err error) {
	w = &world{opts: opts, secrets: map[string]string{}, tokens: map[string]string{}}
	w.client = &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 30 * time.Second}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("service: %w", err), w.close())
		}
	}()
	if w.folder, err = os.MkdirTemp("", "stile-service-"); err != nil {
		return w, err
	}
	at, err := listen(ctx) // of the proxy: the gateway has to know by what name it is reached
	if err != nil {
		return w, err
	}
	if err = w.startNode(ctx, "http://"+at.Addr().String()); err != nil {
		return w, errors.Join(err, at.Close())
	}
	behind, err := listen(ctx)
	if err != nil {
		return w, errors.Join(err, at.Close())
	}
	w.shop = serve(behind, shop())
	p, err := newProxy("http://"+w.node.GatewayAddr().String(), w.shop.url, w.client)
	if err != nil {
		return w, errors.Join(err, at.Close())
	}
	w.proxy = serve(at, p)
	return w, nil
}

// startNode starts Stile as "stile serve" would.
func (w *world) startNode(ctx context.Context, origin string) error {
	password := rand.Text()
	if err := w.startDirectory(password); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"flows/flows.yaml": flowsYAML, "stile.yaml": strings.NewReplacer("ORIGIN", origin, "LDAP", w.staff.URL).Replace(stileYAML),
		"ca.pem": string(w.staff.CA), "ldap-password": password,
	} {
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
	w.staff, err = directory.Open(reader, entries...)
	return err
}

func (w *world) close() error {
	var errs []error
	for _, s := range []*server{w.proxy, w.shop} {
		if s != nil {
			errs = append(errs, s.http.Close())
		}
	}
	if w.node != nil {
		errs = append(errs, w.node.Shutdown(context.Background())) // also when the story was cut short
	}
	if w.staff != nil {
		errs = append(errs, w.staff.Close())
	}
	w.client.CloseIdleConnections()
	if w.folder != "" {
		errs = append(errs, os.RemoveAll(w.folder))
	}
	return errors.Join(errs...)
}
