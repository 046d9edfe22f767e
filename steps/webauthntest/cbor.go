package webauthntest

import "encoding/binary"

// head is the first bytes of a CBOR item (RFC 8949 §3), in the shortest form.
func head(major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return []byte{major | byte(n)}
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n))
	default:
		return binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n)) //nolint:gosec // nothing here is longer
	}
}

// integer encodes n.
func integer(n int) []byte {
	if n < 0 {
		return head(1, uint64(-1-n))
	}
	return head(0, uint64(n))
}

// octets encodes a byte string.
func octets(b []byte) []byte { return append(head(2, uint64(len(b))), b...) }

// text encodes a text string.
func text(s string) []byte { return append(head(3, uint64(len(s))), s...) }

// list encodes an array of encoded items.
func list(items ...[]byte) []byte { return join(head(4, uint64(len(items))), items) }

// dict encodes a map of encoded keys and values, which take turns. The caller
// puts the keys in canonical order (CTAP 2.1 §8).
func dict(items ...[]byte) []byte { return join(head(5, uint64(len(items)/2)), items) }

func join(out []byte, items [][]byte) []byte {
	for _, item := range items {
		out = append(out, item...)
	}
	return out
}
