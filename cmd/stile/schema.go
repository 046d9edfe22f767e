package main

import (
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
)

type schemaCmd struct{}

// Run prints the schema that editors check definition files with.
func (schemaCmd) Run(w *world) error {
	cat, err := node.Catalogue()
	if err != nil {
		return err
	}
	text, err := flowdefs.FileSchema(cat)
	if err != nil {
		return err
	}
	return w.printJSON(text)
}
