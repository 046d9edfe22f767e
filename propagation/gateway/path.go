package gateway

import (
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

var errPath = errors.New("gateway: a path that can be read in more than one way")

const maxPath = 8 << 10 // bytes

// plain are the characters of a path that stand for themselves: those of RFC 3986
// §3.3, without ';', by which some servers end a segment, and '*'.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()+,=:@/"

// canonical returns the path as a server reads it that decodes it once. A path that
// has another spelling is [errPath]: what an application would make of it is not known.
func canonical(raw string) (string, error) {
	if len(raw) > maxPath || !strings.HasPrefix(raw, "/") {
		return "", errPath
	}
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			if strings.IndexByte(plain, c) < 0 {
				return "", errPath
			}
			out.WriteByte(c)
			continue
		}
		if i+2 >= len(raw) {
			return "", errPath
		}
		b, err := hex.DecodeString(raw[i+1 : i+3])
		// What need not be encoded, and what means something else to somebody, is not.
		if err != nil || b[0] < ' ' || b[0] == 0x7f || strings.IndexByte(plain+`%\;?#`, b[0]) >= 0 {
			return "", errPath
		}
		out.WriteByte(b[0])
		i += 2
	}
	path := out.String()
	if !utf8.ValidString(path) {
		return "", errPath
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		if s == "." || s == ".." || s == "" && i < len(segments)-1 {
			return "", errPath
		}
	}
	return path, nil
}
