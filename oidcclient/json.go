package oidcclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxDepth = 32

// errAmbiguous reports JSON that parsers read differently, or do not read.
var errAmbiguous = fmt.Errorf("%w: ambiguous JSON", errUnusable)

// inObject is a document as the one member of an object.
func inObject(document []byte) []byte {
	return slices.Concat([]byte(`{"answer":`), document, []byte(`}`))
}

// checkJSON refuses all but one JSON object in UTF-8 whose keys differ by more
// than case, here and in every object inside: encoding/json would let the last
// one win, and "ſub" be "sub".
func checkJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') || !utf8.Valid(data) {
		return errAmbiguous
	}
	if err := checkMembers(d, 1); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errAmbiguous
	}
	return nil
}

func checkMembers(d *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok || seen[folded(key)] {
			return errAmbiguous
		}
		seen[folded(key)] = true
		if err := checkElement(d, depth); err != nil {
			return err
		}
	}
	return closing(d)
}

func checkElement(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil || depth >= maxDepth {
		return errAmbiguous
	}
	switch t {
	case json.Delim('{'):
		return checkMembers(d, depth+1)
	case json.Delim('['):
		for d.More() {
			if err := checkElement(d, depth+1); err != nil {
				return err
			}
		}
		return closing(d)
	}
	return nil
}

func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return errAmbiguous
	}
	return nil
}

// folded is equal for keys that encoding/json takes for one: the long s and
// the Kelvin sign become ASCII when they go up and down.
func folded(key string) string { return strings.ToLower(strings.ToUpper(key)) }
