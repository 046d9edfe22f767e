package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

//go:embed flows.yaml
var flowsYAML string

//go:embed stile.yaml
var stileYAML string

// world is everybody who takes part, each on its own port.
type world struct {
	*story.House
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
	flows := flowsYAML
	for _, name := range []string{"reporting", "warehouse"} {
		w.secrets[name] = rand.Text() + rand.Text()
		sum := sha256.Sum256([]byte(w.secrets[name]))
		flows = strings.ReplaceAll(flows, "HASH-OF-"+strings.ToUpper(name), hex.EncodeToString(sum[:]))
	}
	front, at, err := w.Listen(ctx) // the gateway has to know by what name the proxy is reached
	if err != nil {
		return w, err
	}
	if err = w.Start(ctx, map[string]string{"flows/flows.yaml": flows, "stile.yaml": strings.ReplaceAll(stileYAML, "ORIGIN", at)}); err != nil {
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
	return []story.Place{{Name: "Stile", URL: w.Node.URL()}, {Name: "gateway", URL: w.Node.GatewayAddr().String()}, {Name: "proxy", URL: w.proxy}}
}
