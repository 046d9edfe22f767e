package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

type clientsCmd struct {
	Secret clientsSecretCmd `cmd:"" help:"Make a secret for a relying party. It is printed once, here, with the hash that the definitions have."`
}

type clientsSecretCmd struct{ format }

// Run makes a secret of 256 random bits. Nothing is stored.
func (c *clientsSecretCmd) Run(w *world) error {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	made := struct {
		Secret string `json:"secret"`
		Hash   string `json:"secret_hash"`
	}{Secret: base64.RawURLEncoding.EncodeToString(b)}
	sum := sha256.Sum256([]byte(made.Secret))
	made.Hash = hex.EncodeToString(sum[:])
	if c.json() {
		return w.printJSON(made)
	}
	_, err := fmt.Fprintf(w.out, "secret (for the client; it is not shown again): %s\nsecret_hash (for oauth of the client):           %s\n", made.Secret, made.Hash)
	return err
}
