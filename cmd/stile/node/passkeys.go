package node

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/stile-auth/stile/flows/webui"
	"github.com/stile-auth/stile/propagation"
	"github.com/stile-auth/stile/steps/webauthn"
)

// party is who passkeys are made for: what the configuration says, and for all
// else what follows from the server's own address. Nothing of a request is in it.
func (n *Node) party() (webauthn.Party, error) {
	cfg, p := n.cfg.Passkeys, webauthn.Default(n.url)
	if cfg.RPID != "" {
		p.ID, p.Name = cfg.RPID, cfg.RPID
	}
	p.Name = cmp.Or(cfg.Name, p.Name)
	if len(cfg.Origins) > 0 {
		p.Origins = slices.Clone(cfg.Origins)
	}
	for _, text := range cfg.Android {
		app, err := webauthn.ParseAndroidApp(text)
		if err != nil {
			return p, fmt.Errorf("node: passkeys.android: %w", err)
		}
		p.Origins = append(p.Origins, app.Origin())
	}
	for _, text := range cfg.Apple {
		if err := webauthn.CheckAppleApp(text); err != nil {
			return p, fmt.Errorf("node: passkeys.apple: %w", err)
		}
	}
	if own := "https://" + p.ID; len(cfg.Apple) > 0 && !slices.Contains(p.Origins, own) {
		p.Origins = append(p.Origins, own)
	}
	if cfg.Metadata != "" {
		text, err := os.ReadFile(cfg.Metadata)
		if err != nil {
			return p, fmt.Errorf("node: passkeys.metadata: %w", err)
		}
		if p.Metadata, err = webauthn.ReadMetadata(text); err != nil {
			return p, fmt.Errorf("node: passkeys.metadata: %w", err)
		}
	}
	if err := p.Check(); err != nil && (cfg.RPID != "" || len(cfg.Origins)+len(cfg.Android)+len(cfg.Apple) > 0) {
		return p, fmt.Errorf("node: passkeys: %w", err)
	}
	return p, nil // of a server that is reached by an address, steps say that they have no domain
}

// publishApps adds the documents of the apps to those that are published.
func (n *Node) publishApps(documents map[string]http.Handler) error {
	passkeys, err := appsOf(n.cfg.Passkeys.Android, n.cfg.Passkeys.Apple)
	if err != nil {
		return fmt.Errorf("node: passkeys: %w", err)
	}
	links, err := appsOf(n.cfg.Links.Android, n.cfg.Links.Apple)
	if err != nil {
		return fmt.Errorf("node: links: %w", err)
	}
	for path, content := range webauthn.AppDocuments(passkeys, links, webui.LinkPath) {
		doc, err := propagation.Document(content)
		if err != nil {
			return err
		}
		documents[path] = doc
	}
	return nil
}

func appsOf(android, apple []string) (webauthn.Apps, error) {
	apps := webauthn.Apps{Apple: apple}
	for _, text := range android {
		app, err := webauthn.ParseAndroidApp(text)
		if err != nil {
			return webauthn.Apps{}, err
		}
		apps.Android = append(apps.Android, app)
	}
	for _, text := range apple {
		if err := webauthn.CheckAppleApp(text); err != nil {
			return webauthn.Apps{}, err
		}
	}
	return apps, nil
}
