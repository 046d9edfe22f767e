package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/stile-auth/stile/cmd/stile/clients"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows"
)

type clientsCmd struct {
	Add     clientsAddCmd     `cmd:"" help:"Add a client to the configured store, within what client_sources of the definitions allows."`
	Change  clientsChangeCmd  `cmd:"" help:"Put another text in the place of a client's. Its secrets stay; one that needs a first one gets it."`
	Show    clientsShowCmd    `cmd:"" help:"Show a client of the store, without its secrets."`
	List    clientsListCmd    `cmd:"" help:"List the clients of the store."`
	Secret  clientsSecretCmd  `cmd:"" help:"Make a secret: for a client of the store, or, without an id, for the definitions. It is printed once, here."`
	Disable clientsDisableCmd `cmd:"" help:"Let nobody use a client."`
	Enable  clientsEnableCmd  `cmd:"" help:"Let a client be used again."`
	Remove  clientsRemoveCmd  `cmd:"" help:"Remove a client from the store."`
}

// registered opens the configured store for what is done to its clients.
func registered(w *world, id string, do func(r *clients.Registrar) error) (err error) {
	cfg, _, err := w.configuration()
	if err != nil {
		return err
	}
	if cfg.Store.Type == "memory" {
		return errors.New("the configured store is memory: its clients are in the server that has it, and in no other process")
	}
	cat, err := node.Catalogue()
	if err != nil {
		return err
	}
	set, err := node.LoadDefinitions(cfg.Definitions, cat)
	if err != nil {
		return err
	}
	base, err := node.OpenBase(w.ctx, cfg, w.out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	err = do(&clients.Registrar{Store: base.Store, Recorder: base.Recorder, Definitions: set, Now: w.now})
	if errors.Is(err, flows.ErrNotFound) {
		err = fmt.Errorf("the store has no client %q", id)
	}
	return err
}

// maxClientFile bounds the text of a client, in bytes.
const maxClientFile = 64 << 10

func clientText(in io.Reader, path string) ([]byte, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxClientFile+1))
	if err == nil && len(raw) > maxClientFile {
		err = errors.New("the text of the client is too long")
	}
	return raw, err
}

type clientsAddCmd struct {
	format
	ID   string `arg:"" help:"Client id."`
	File string `arg:"" help:"The client in JSON, in the words of the section clients; - for standard input."`
}

// clientLine is what a command about one client prints: its secret if one was made.
type clientLine struct {
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"`
}

func (l clientLine) print(w *world, f format) error {
	if f.json() {
		return w.printJSON(l)
	}
	fmt.Fprintf(w.out, "client %s\n", l.ID)
	if l.Secret != "" {
		fmt.Fprintf(w.out, "secret %s (for the client; it is not shown again)\n", l.Secret)
	}
	return nil
}

// Run adds the client, and makes its secret if it needs one.
func (c clientsAddCmd) Run(w *world) error {
	raw, err := clientText(w.in, c.File)
	if err != nil {
		return err
	}
	line := clientLine{ID: c.ID}
	err = registered(w, c.ID, func(r *clients.Registrar) (err error) {
		line.Secret, err = r.Add(w.ctx, c.ID, raw)
		return err
	})
	if err != nil {
		return err
	}
	return line.print(w, c.format)
}

type clientsChangeCmd struct {
	format
	ID   string `arg:"" help:"Client id."`
	File string `arg:"" help:"The client in JSON, in the words of the section clients; - for standard input."`
}

// Run changes the client. A running server goes by it at its next request.
func (c clientsChangeCmd) Run(w *world) error {
	raw, err := clientText(w.in, c.File)
	if err != nil {
		return err
	}
	line := clientLine{ID: c.ID}
	err = registered(w, c.ID, func(r *clients.Registrar) (err error) {
		line.Secret, err = r.Change(w.ctx, c.ID, raw)
		return err
	})
	if err != nil {
		return err
	}
	return line.print(w, c.format)
}

type clientsSecretCmd struct {
	format
	ID     string `arg:"" optional:"" help:"Client of the store. The newest secret before stays good beside the new one."`
	Retire bool   `help:"Make none: end all secrets of the client but the newest."`
}

// Run makes a secret of 256 random bits. For the definitions nothing is stored.
func (c clientsSecretCmd) Run(w *world) error {
	switch {
	case c.Retire && c.ID == "":
		return &usageError{"--retire is about a client: name it"}
	case c.Retire:
		return registered(w, c.ID, func(r *clients.Registrar) error { return r.Retire(w.ctx, c.ID) })
	case c.ID != "":
		line := clientLine{ID: c.ID}
		err := registered(w, c.ID, func(r *clients.Registrar) (err error) {
			line.Secret, err = r.Secret(w.ctx, c.ID)
			return err
		})
		if err != nil {
			return err
		}
		return line.print(w, c.format)
	}
	var made struct {
		Secret string `json:"secret"`
		Hash   string `json:"secret_hash"`
	}
	made.Secret, made.Hash = clients.NewSecret()
	if c.json() {
		return w.printJSON(made)
	}
	_, err := fmt.Fprintf(w.out, "secret (for the client; it is not shown again): %s\nsecret_hash (for oauth of the client):           %s\n", made.Secret, made.Hash)
	return err
}

type clientsShowCmd struct {
	ID string `arg:"" help:"Client id."`
}

// shownClient is a client as show and list print it, with the hashes of its secrets.
type shownClient struct {
	ID      string          `json:"id"`
	Status  string          `json:"status"`
	Created time.Time       `json:"createdAt"`
	Changed time.Time       `json:"changedAt"`
	Text    json.RawMessage `json:"client"`
}

func statusOf(c flows.StoredClient) string {
	if c.Disabled {
		return "disabled"
	}
	return "active"
}

// Run shows the client, with the hashes of its secrets.
func (c clientsShowCmd) Run(w *world) error {
	var found flows.StoredClient
	err := registered(w, c.ID, func(r *clients.Registrar) (err error) {
		found, _, err = r.Show(w.ctx, c.ID)
		return err
	})
	if err != nil {
		return err
	}
	return w.printJSON(shownClient{ID: found.ID, Status: statusOf(found), Created: found.Created, Changed: found.Changed, Text: bytes.TrimSpace(found.Text)})
}

type clientsListCmd struct{ format }

// Run lists the clients.
func (c clientsListCmd) Run(w *world) error {
	var all []flows.StoredClient
	err := registered(w, "", func(r *clients.Registrar) (err error) {
		all, err = r.List(w.ctx)
		return err
	})
	if err != nil {
		return err
	}
	if c.json() {
		lines := []shownClient{}
		for _, one := range all {
			lines = append(lines, shownClient{ID: one.ID, Status: statusOf(one), Created: one.Created, Changed: one.Changed, Text: one.Text})
		}
		return w.printJSON(lines)
	}
	table := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	for _, one := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\n", one.ID, statusOf(one), one.Changed.Format(time.DateOnly))
	}
	return table.Flush()
}

type clientsDisableCmd struct {
	ID string `arg:"" help:"Client id."`
}

// Run disables the client. A running server goes by it at its next request.
func (c clientsDisableCmd) Run(w *world) error {
	return registered(w, c.ID, func(r *clients.Registrar) error { return r.Enable(w.ctx, c.ID, false) })
}

type clientsEnableCmd struct {
	ID string `arg:"" help:"Client id."`
}

// Run lets the client be used again.
func (c clientsEnableCmd) Run(w *world) error {
	return registered(w, c.ID, func(r *clients.Registrar) error { return r.Enable(w.ctx, c.ID, true) })
}

type clientsRemoveCmd struct {
	ID string `arg:"" help:"Client id."`
}

// Run removes the client.
func (c clientsRemoveCmd) Run(w *world) error {
	return registered(w, c.ID, func(r *clients.Registrar) error { return r.Remove(w.ctx, c.ID) })
}
