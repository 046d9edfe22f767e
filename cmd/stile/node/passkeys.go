package node

import (
	"cmp"
	"fmt"
	"os"

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
		p.Origins = cfg.Origins
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
	if err := p.Check(); err != nil && (cfg.RPID != "" || len(cfg.Origins) > 0) {
		return p, fmt.Errorf("node: passkeys: %w", err)
	}
	return p, nil // of a server that is reached by an address, steps say that they have no domain
}
