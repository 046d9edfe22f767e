package appattesttest

import "encoding/binary"

// head is the first bytes of a CBOR item (RFC 8949 §3), in the shortest form.
func head(major byte, n int) []byte {
	major <<= 5
	switch {
	case n < 24:
		return []byte{major | byte(n)} //nolint:gosec // n is small
	case n < 1<<8:
		return []byte{major | 24, byte(n)}
	default:
		return binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n)) //nolint:gosec // nothing here is longer
	}
}

func integer(n int) []byte {
	if n < 0 {
		return head(1, -1-n)
	}
	return head(0, n)
}

func octets(b []byte) []byte { return append(head(2, len(b)), b...) }

func text(s string) []byte { return append(head(3, len(s)), s...) }

func list(items ...[]byte) []byte { return join(head(4, len(items)), items) }

// dict encodes keys and values, which take turns.
func dict(items ...[]byte) []byte { return join(head(5, len(items)/2), items) }

func join(out []byte, items [][]byte) []byte {
	for _, item := range items {
		out = append(out, item...)
	}
	return out
}
