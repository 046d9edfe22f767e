package webauthn

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
)

// ReadMetadata reads the payload of a FIDO Metadata Service BLOB as JSON (FIDO
// Metadata Service v3 §3.1.6). Its signature was verified by who fetched it: a
// server that fetches certificates and revocation lists when it starts would not
// start without a network. Entries that cannot be read are an error: what is left
// out would look like a model that nobody knows.
func ReadMetadata(text []byte) (metadata.Provider, error) {
	var payload metadata.PayloadJSON
	if err := json.Unmarshal(text, &payload); err != nil {
		return nil, fmt.Errorf("webauthn: metadata: %w", err)
	}
	parsed, err := payload.Parse()
	if err != nil {
		return nil, fmt.Errorf("webauthn: metadata: %w", err)
	}
	all := metadata.Metadata{Parsed: parsed}
	models := all.ToMap()
	if len(models) == 0 {
		return nil, errors.New("webauthn: metadata: there is no authenticator in it")
	}
	return memory.New(
		memory.WithMetadata(models), memory.WithValidateAAGUID(true),
		memory.WithValidateAlgorithms(true), memory.WithValidateBackupEligibility(true),
	)
}
