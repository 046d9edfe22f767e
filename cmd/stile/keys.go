package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stile-auth/stile/propagation"
)

type keysCmd struct {
	List     keysListCmd     `cmd:"" help:"List the keys; the active one signs, all are published."`
	Generate keysGenerateCmd `cmd:"" help:"Make a key and publish it. It signs once it is activated; the first key of a file signs at once."`
	Activate keysActivateCmd `cmd:"" help:"Let a published key sign from the next start on."`
	Remove   keysRemoveCmd   `cmd:"" help:"Remove a key that does not sign. Tokens that it signed are no longer valid."`
}

// keyFile is the flag of every command on keys.
type keyFile struct {
	format
	File string `placeholder:"FILE" help:"Key file. Default: the configuration's."`
}

func (f keyFile) path(w *world) (string, error) {
	if f.File != "" {
		return f.File, nil
	}
	cfg, _, err := w.configuration()
	return cfg.Keys.Signing, err
}

type keyLine struct {
	ID        string `json:"id"`
	Algorithm string `json:"algorithm"`
	Active    bool   `json:"active"`
}

func (f keyFile) show(w *world, set *propagation.KeySet, err error) error {
	if err != nil {
		return err
	}
	var all []keyLine
	for i, k := range set.Keys() {
		all = append(all, keyLine{k.ID(), k.Algorithm(), i == 0})
	}
	if f.json() {
		return w.printJSON(all)
	}
	for _, k := range all {
		state := "published"
		if k.Active {
			state = "active"
		}
		fmt.Fprintln(w.out, k.ID, k.Algorithm, state)
	}
	return nil
}

type keysListCmd struct{ keyFile }

// Run lists the keys.
func (c keysListCmd) Run(w *world) error {
	path, err := c.path(w)
	if err != nil {
		return err
	}
	set, err := propagation.LoadKeys(path)
	return c.show(w, set, err)
}

type keysGenerateCmd struct{ keyFile }

// Run makes a key, and the file if there is none.
func (c keysGenerateCmd) Run(w *world) error {
	path, err := c.path(w)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		set, err := propagation.LoadOrCreateKeys(path)
		return c.show(w, set, err)
	}
	key, err := propagation.GenerateKey()
	if err != nil {
		return err
	}
	set, err := propagation.AddKey(path, key)
	return c.show(w, set, err)
}

type keysActivateCmd struct {
	keyFile
	ID string `arg:"" help:"The key's id, as listed."`
}

// Run makes a key the one that signs.
func (c keysActivateCmd) Run(w *world) error {
	path, err := c.path(w)
	if err != nil {
		return err
	}
	set, err := propagation.ActivateKey(path, c.ID)
	return c.show(w, set, err)
}

type keysRemoveCmd struct {
	keyFile
	ID string `arg:"" help:"The key's id, as listed."`
}

// Run removes a key.
func (c keysRemoveCmd) Run(w *world) error {
	path, err := c.path(w)
	if err != nil {
		return err
	}
	set, err := propagation.RemoveKey(path, c.ID)
	return c.show(w, set, err)
}
