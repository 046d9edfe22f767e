package flows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const maxJSONDepth = 32

// DecodeStrict decodes one JSON object into dst, a pointer to a struct with
// `json` tags. It refuses with [ErrMalformed] what encoding/json lets pass:
// duplicate keys (also those that differ in case or Unicode folding only),
// keys in another letter case, unknown and missing keys (those without
// omitempty or omitzero), null, trailing data, invalid UTF-8, nesting deeper
// than 32, and values of another type.
func DecodeStrict(data []byte, dst any) error {
	if err := CheckJSON(data); err != nil {
		return err
	}
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("flows: DecodeStrict needs a pointer to a struct, got %T", dst)
	}
	return decodeStruct(data, v.Elem())
}

// CheckJSON reports with [ErrMalformed] whether data is anything but one JSON
// object that every JSON parser reads alike: see [DecodeStrict].
func CheckJSON(data []byte) error {
	if !utf8.Valid(data) || loneSurrogate(data) {
		return malformed("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return malformed("not a JSON object")
	}
	if err := checkObject(d, 1); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return malformed("data after the object")
	}
	return nil
}

// loneSurrogate reports whether data has an escape of half a character, which
// encoding/json reads as U+FFFD: different texts would become one.
func loneSurrogate(data []byte) bool {
	for i := bytes.IndexByte(data, '\\'); i >= 0 && i+1 < len(data); {
		width := 2
		if data[i+1] == 'u' {
			switch r := escaped(data[i:]); {
			case utf16.IsSurrogate(r) && utf16.DecodeRune(r, escaped(data[min(i+6, len(data)):])) == utf8.RuneError:
				return true
			case utf16.IsSurrogate(r):
				width = 12
			default:
				width = 6
			}
		}
		i = min(i+width, len(data))
		next := bytes.IndexByte(data[i:], '\\')
		if next < 0 {
			return false
		}
		i += next
	}
	return false
}

// escaped reads \uXXXX at the start of data; -1 if there is none.
func escaped(data []byte) rune {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

func checkObject(d *json.Decoder, depth int) error {
	if depth > maxJSONDepth {
		return malformed("nested too deep")
	}
	var seen []string
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return malformed("not JSON")
		}
		for _, s := range seen {
			if strings.EqualFold(s, key) {
				return malformed("duplicate key")
			}
		}
		if seen = append(seen, key); len(seen) > 256 {
			return malformed("too many keys")
		}
		if err := checkValue(d, depth); err != nil {
			return err
		}
	}
	return closing(d)
}

func checkValue(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return malformed("not JSON")
	}
	switch t {
	case json.Delim('{'):
		return checkObject(d, depth+1)
	case json.Delim('['):
		if depth+1 > maxJSONDepth {
			return malformed("nested too deep")
		}
		for d.More() {
			if err := checkValue(d, depth+1); err != nil {
				return err
			}
		}
		return closing(d)
	}
	return nil
}

func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return malformed("not JSON")
	}
	return nil
}

func decodeStruct(data []byte, v reflect.Value) error {
	var members map[string]json.RawMessage // a map keeps keys exactly as sent
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return malformed("not an object")
	}
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if name == "" || name == "-" {
			continue
		}
		raw, ok := members[name]
		delete(members, name)
		if !ok {
			if strings.Contains(options, "omit") {
				continue
			}
			return malformed("missing key " + name)
		}
		if err := decodeField(raw, v.Field(i)); err != nil {
			return fmt.Errorf("%w in %s", err, name)
		}
	}
	if len(members) > 0 {
		return malformed("unknown key")
	}
	return nil
}

func decodeField(raw json.RawMessage, f reflect.Value) error {
	if bytes.Equal(raw, []byte("null")) {
		return malformed("null")
	}
	if f.Kind() == reflect.Struct {
		return decodeStruct(raw, f)
	}
	if err := json.Unmarshal(raw, f.Addr().Interface()); err != nil {
		return malformed("wrong type")
	}
	return nil
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
