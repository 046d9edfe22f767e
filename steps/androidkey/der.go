package androidkey

import "encoding/asn1"

// elements splits the content of a SEQUENCE or SET into its elements, to the last
// byte. encoding/asn1 holds them to DER; filling a struct with it would stop
// quietly at the first tag that the struct has not.
func elements(content []byte) ([]asn1.RawValue, error) {
	var out []asn1.RawValue
	for len(content) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(content, &v)
		if err != nil {
			return nil, Malformed
		}
		out, content = append(out, v), rest
	}
	return out, nil
}

// only reads the one element that data consists of; it must have the universal tag.
func only(data []byte, tag int) (asn1.RawValue, error) {
	all, err := elements(data)
	if err != nil || len(all) != 1 || !is(all[0], tag) {
		return asn1.RawValue{}, Malformed
	}
	return all[0], nil
}

func is(v asn1.RawValue, tag int) bool {
	composite := tag == asn1.TagSequence || tag == asn1.TagSet
	return v.Class == asn1.ClassUniversal && v.Tag == tag && v.IsCompound == composite
}

// list reads a SEQUENCE or SET that data consists of.
func list(data []byte, tag int) ([]asn1.RawValue, error) {
	v, err := only(data, tag)
	if err != nil {
		return nil, err
	}
	return elements(v.Bytes)
}

// number reads an INTEGER or ENUMERATED that is not negative; nothing here is larger than 63 bits.
func number(v asn1.RawValue, tag int) (int64, error) {
	if !is(v, tag) || len(v.Bytes) == 0 || len(v.Bytes) > 8 || v.Bytes[0] >= 0x80 {
		return 0, Malformed
	}
	if len(v.Bytes) > 1 && v.Bytes[0] == 0 && v.Bytes[1] < 0x80 { // DER: the shortest form (X.690 §8.3.2)
		return 0, Malformed
	}
	var n int64
	for _, b := range v.Bytes {
		n = n<<8 | int64(b)
	}
	return n, nil
}

// octets reads an OCTET STRING.
func octets(v asn1.RawValue) ([]byte, error) {
	if !is(v, asn1.TagOctetString) {
		return nil, Malformed
	}
	return v.Bytes, nil
}

// boolean reads a BOOLEAN; DER knows two (X.690 §11.1).
func boolean(v asn1.RawValue) (bool, error) {
	if !is(v, asn1.TagBoolean) || len(v.Bytes) != 1 || v.Bytes[0] != 0 && v.Bytes[0] != 0xff {
		return false, Malformed
	}
	return v.Bytes[0] == 0xff, nil
}
