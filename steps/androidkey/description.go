package androidkey

import (
	"encoding/asn1"
	"slices"
)

// The tags of an AuthorizationList that decide something here.
const (
	tagPurpose         = 1
	tagAlgorithm       = 2
	tagKeySize         = 3
	tagCurve           = 10
	tagNoAuth          = 503
	tagUserAuth        = 504
	tagAuthTimeout     = 505
	tagAllApplications = 600
	tagOrigin          = 702
	tagRootOfTrust     = 704
	tagOSPatch         = 706
	tagApplication     = 709
)

// description is a KeyDescription: eight members, and no ninth.
type description struct {
	attestation, keymint Level
	challenge            []byte
	software, hardware   authorizations
}

func readDescription(data []byte) (d description, err error) {
	members, err := list(data, asn1.TagSequence)
	if err != nil || len(members) != 8 {
		return d, Malformed
	}
	for i, tag := range map[int]int{0: asn1.TagInteger, 1: asn1.TagEnum, 2: asn1.TagInteger, 3: asn1.TagEnum} {
		n, err := number(members[i], tag)
		if err != nil {
			return d, err
		}
		switch {
		case tag == asn1.TagEnum && n > int64(StrongBox):
			return d, Malformed
		case i == 1:
			d.attestation = Level(n)
		case i == 3:
			d.keymint = Level(n)
		}
	}
	if d.challenge, err = octets(members[4]); err != nil {
		return d, err
	}
	if _, err = octets(members[5]); err != nil { // uniqueId
		return d, err
	}
	if d.software, err = readAuthorizations(members[6]); err != nil {
		return d, err
	}
	d.hardware, err = readAuthorizations(members[7])
	return d, err
}

// authorizations is an AuthorizationList, by tag. Those that nobody has heard of
// are in it too: new versions of Android add some.
type authorizations map[int][]byte

func readAuthorizations(v asn1.RawValue) (authorizations, error) {
	if !is(v, asn1.TagSequence) {
		return nil, Malformed
	}
	all, err := elements(v.Bytes)
	if err != nil {
		return nil, err
	}
	out := authorizations{}
	for _, e := range all {
		if _, twice := out[e.Tag]; twice || e.Class != asn1.ClassContextSpecific || !e.IsCompound {
			return nil, Malformed
		}
		out[e.Tag] = e.Bytes
	}
	return out, nil
}

func (a authorizations) has(tag int) bool { _, ok := a[tag]; return ok }

// number is the INTEGER of a tag; known: the tag is there.
func (a authorizations) number(tag int) (n int64, known bool, err error) {
	data, known := a[tag]
	if !known {
		return 0, false, nil
	}
	v, err := only(data, asn1.TagInteger)
	if err != nil {
		return 0, true, err
	}
	n, err = number(v, asn1.TagInteger)
	return n, true, err
}

// is holds the INTEGER of a tag against the one value that is right.
func (a authorizations) is(tag int, want int64, otherwise Refusal) error {
	n, known, err := a.number(tag)
	if err != nil {
		return err
	}
	if !known || n != want {
		return otherwise
	}
	return nil
}

// purposes is the SET OF INTEGER of what the key may do.
func (a authorizations) purposes() ([]int64, error) {
	members, err := list(a[tagPurpose], asn1.TagSet)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, m := range members {
		n, err := number(m, asn1.TagInteger)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// bootState is a RootOfTrust.
type bootState struct {
	locked   bool
	verified bool
}

// boot reads the RootOfTrust: verifiedBootKey, deviceLocked, verifiedBootState
// and, since version 3, verifiedBootHash.
func (a authorizations) boot() (b bootState, err error) {
	members, err := list(a[tagRootOfTrust], asn1.TagSequence)
	if err != nil || len(members) < 3 || len(members) > 4 {
		return b, Malformed
	}
	for _, i := range []int{0, 3} {
		if i >= len(members) {
			continue
		}
		if _, err := octets(members[i]); err != nil {
			return b, err
		}
	}
	if b.locked, err = boolean(members[1]); err != nil {
		return b, err
	}
	state, err := number(members[2], asn1.TagEnum)
	b.verified = state == 0 // Verified; SelfSigned, Unverified and Failed are not
	return b, err
}

// application is an AttestationApplicationId: the packages that share the key, and who signed them.
type application struct {
	packages []string
	digests  [][]byte
}

func (a authorizations) application() (out application, err error) {
	wrapped, err := only(a[tagApplication], asn1.TagOctetString)
	if err != nil {
		return out, err
	}
	members, err := list(wrapped.Bytes, asn1.TagSequence)
	if err != nil || len(members) != 2 || !is(members[0], asn1.TagSet) || !is(members[1], asn1.TagSet) {
		return out, Malformed
	}
	packages, err := elements(members[0].Bytes)
	if err != nil {
		return out, err
	}
	for _, p := range packages {
		name, err := packageName(p)
		if err != nil {
			return out, err
		}
		out.packages = append(out.packages, name)
	}
	digests, err := elements(members[1].Bytes)
	if err != nil {
		return out, err
	}
	for _, d := range digests {
		sum, err := octets(d)
		if err != nil {
			return out, err
		}
		out.digests = append(out.digests, slices.Clone(sum))
	}
	return out, nil
}

// packageName reads an AttestationPackageInfo: name and version.
func packageName(v asn1.RawValue) (string, error) {
	if !is(v, asn1.TagSequence) {
		return "", Malformed
	}
	members, err := elements(v.Bytes)
	if err != nil || len(members) != 2 || !is(members[1], asn1.TagInteger) {
		return "", Malformed
	}
	name, err := octets(members[0])
	return string(name), err
}
