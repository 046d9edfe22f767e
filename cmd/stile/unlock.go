package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows/account"
)

type usersUnlockCmd struct {
	format
	Login string `arg:"" help:"Login identifier."`
	Type  string `enum:"all,password,pin,totp,hotp,email,phone,recovery,activation" default:"all" help:"Which authenticators: ${enum}."`
}

type unlockedLine struct {
	Subject  string   `json:"subject"`
	Unlocked []string `json:"unlocked"`
}

// Run forgets the failed attempts. A running server goes by it at once.
func (c usersUnlockCmd) Run(w *world) error {
	cfg, _, err := w.configuration()
	if err != nil {
		return err
	}
	if cfg.Store.Type == "memory" {
		return errors.New("the configured store is memory: its accounts are in the server that has it, and in no other process")
	}
	line, err := c.unlock(w, cfg)
	switch {
	case errors.Is(err, account.ErrNotFound), errors.Is(err, account.ErrLogin):
		return fmt.Errorf("no account has the login %q", c.Login)
	case err != nil:
		return err
	case c.json():
		return w.printJSON(line)
	}
	fmt.Fprintf(w.out, "subject  %s\nunlocked %s\n", line.Subject, strings.Join(line.Unlocked, ", "))
	return nil
}

func (c usersUnlockCmd) unlock(w *world, cfg config.Config) (line unlockedLine, err error) {
	line.Unlocked = []string{c.Type}
	if c.Type == "all" {
		line.Unlocked = node.Guessable()
	}
	base, err := node.OpenBase(w.ctx, cfg, w.out)
	if err != nil {
		return line, err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	line.Subject, err = base.Unlock(w.ctx, c.Login, line.Unlocked, w.now)
	return line, err
}
