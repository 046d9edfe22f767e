package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
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
	flows := flowsYAML
	for _, name := range []string{"reporting", "warehouse"} {
		w.secrets[name] = rand.Text() + rand.Text()
		sum := sha256.Sum256([]byte(w.secrets[name]))
		flows = strings.ReplaceAll(flows, "HASH-OF-"+strings.ToUpper(name), hex.EncodeToString(sum[:]))
	}
	for name, text := range map[string]string{"flows/flows.yaml": flows, "stile.yaml": strings.ReplaceAll(stileYAML, "ORIGIN", origin)} {
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
	w.client.CloseIdleConnections()
	if w.folder != "" {
		errs = append(errs, os.RemoveAll(w.folder))
	}
	return errors.Join(errs...)
}
