package propagation

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"
)

const (
	pemType     = "PRIVATE KEY" // PKCS#8, RFC 7468 §10
	maxKeysText = 64 << 10
)

// Headers of a PEM block. A block without any is a key with the usual algorithm of
// its kind; of several such ones the first signs.
const (
	headerAlgorithm = "Algorithm"
	headerMade      = "Made"
	headerSigns     = "Signs"
)

// formatRing writes the keys as PKCS#8 PEM blocks, the one that signs last first.
func formatRing(r Ring) ([]byte, error) {
	var out bytes.Buffer
	for _, e := range r.entries {
		der, err := x509.MarshalPKCS8PrivateKey(e.signer)
		if err != nil {
			return nil, fmt.Errorf("%w: %s cannot be written", ErrKey, e.ID())
		}
		headers := map[string]string{headerAlgorithm: e.Algorithm()}
		for name, at := range map[string]time.Time{headerMade: e.Made, headerSigns: e.Signs} {
			if !at.IsZero() {
				headers[name] = at.UTC().Format(time.RFC3339Nano)
			}
		}
		if err := pem.Encode(&out, &pem.Block{Type: pemType, Headers: headers, Bytes: der}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// parseRing reads what formatRing wrote, and keys that other programs did.
func parseRing(text []byte) (Ring, error) {
	if len(text) > maxKeysText {
		return Ring{}, fmt.Errorf("%w: more than 64 KiB", ErrKey)
	}
	var entries []Entry
	for len(bytes.TrimSpace(text)) > 0 {
		block, rest := pem.Decode(text)
		if block == nil || block.Type != pemType {
			return Ring{}, fmt.Errorf("%w: there may be unencrypted PKCS#8 PEM blocks (%q) and nothing else", ErrKey, pemType)
		}
		e, err := parseEntry(block)
		if err != nil {
			return Ring{}, err
		}
		entries, text = append(entries, e), rest
	}
	return NewRing(entries...)
}

func parseEntry(block *pem.Block) (Entry, error) {
	var e Entry
	var algorithm string
	var err error
	for name, value := range block.Headers {
		switch name {
		case headerAlgorithm:
			algorithm = value
		case headerMade:
			e.Made, err = time.Parse(time.RFC3339Nano, value)
		case headerSigns:
			e.Signs, err = time.Parse(time.RFC3339Nano, value)
		default:
			err = fmt.Errorf("header %q", name)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		// The parser's text is left out: it was made from a secret.
		return Entry{}, fmt.Errorf("%w: a block is not a PKCS#8 key", ErrKey)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Entry{}, fmt.Errorf("%w: %T cannot sign", ErrKey, private)
	}
	e.Key, err = NewKey(signer, algorithm)
	return e, err
}
