package main

import (
	"fmt"

	"github.com/stile-auth/stile/cmd/stile/users"
	"github.com/stile-auth/stile/flows/account"
)

type usersRevokeCmd struct {
	Login    string `arg:"" help:"Login identifier."`
	Client   string `xor:"what" required:"" placeholder:"ID" help:"The app that is to have nothing any more."`
	Document string `xor:"what" required:"" placeholder:"ID" help:"The document that is to be accepted anew."`
}

// Run takes an agreement back. A running server goes by it at once.
func (c usersRevokeCmd) Run(w *world) error {
	kind, name := account.Consent, c.Client
	if c.Document != "" {
		kind, name = account.Terms, c.Document
	}
	revoked, err := issue(w, c.Login, func(r *users.Registrar) (users.Issued, error) {
		return r.Revoke(w.ctx, c.Login, kind, name)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "subject %s\nrevoked %s %s\n", revoked.Subject, kind, name)
	return nil
}
