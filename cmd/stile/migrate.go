package main

import (
	"fmt"

	"github.com/stile-auth/stile/cmd/stile/node"
)

type migrateCmd struct{}

// Run brings the schema of the configured store up to date.
func (migrateCmd) Run(w *world) error {
	cfg, _, err := w.configuration()
	if err != nil {
		return err
	}
	text, err := node.Migrate(w.ctx, cfg.Store)
	if err == nil {
		fmt.Fprintln(w.out, text)
	}
	return err
}
