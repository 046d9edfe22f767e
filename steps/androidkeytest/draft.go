package androidkeytest

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

// Draft is everything that an attestation says, before it is signed. What a new
// one says is what an honest phone does.
type Draft struct {
	Version             int // attestationVersion and keyMintVersion
	Level, KeyMintLevel int // 0 software, 1 trusted environment, 2 StrongBox
	Challenge           []byte
	Purposes            []int
	Algorithm, Size     int
	Curve               int
	NoAuth              bool // noAuthRequired
	UserAuth            int  // 1 the phone's PIN, 2 biometrics; 0: left out
	Timeout             int  // seconds; 0: left out, each signature needs the person
	AllApplications     bool
	Origin              int
	Locked              bool
	BootState           int  // 0 verified, 1 self-signed, 2 unverified, 3 failed
	NoBoot              bool // without a root of trust
	OSPatch             int  // YYYYMM
	Packages            []string
	Digests             [][]byte // of the signing certificates
	InSoftware          bool     // what is said of the key stands in the list of Android
	More                []Field  // in the list of the hardware, after all else
	MoreSoftware        []Field  // in the list of Android, after all else
	Ninth               bool     // a member after the last one
	Trailing            []byte   // after the description, inside the extension
	WithoutRoot         bool
	Chain               []func(*x509.Certificate) // changes the templates, the key's own first
	DescribesIssuer     bool                      // the certificate above the key's own describes a key as well
	NoDescription       bool
}

// Field is a tag of an AuthorizationList with its value in DER.
type Field struct {
	Tag   int
	Value []byte
}

// Number is the DER of an INTEGER.
func Number(n int) []byte { return marshal(n) }

func honest(challenge []byte, pkg string, digest []byte) Draft {
	return Draft{
		Version: 300, Level: 1, KeyMintLevel: 1, Challenge: challenge, Purposes: []int{2}, Algorithm: 3, Size: 256, Curve: 1,
		UserAuth: 2, Locked: true, OSPatch: 202601, Packages: []string{pkg}, Digests: [][]byte{digest},
	}
}

// description is the KeyDescription.
func (d Draft) description() []byte {
	key := d.key()
	software := []Field{{701, Number(1767225600000)}, {709, marshal(d.application())}} // creationDateTime
	var hardware []Field
	if d.InSoftware {
		software = append(key, software...)
	} else {
		hardware = append(hardware, key...)
	}
	if !d.NoBoot {
		hardware = append(hardware, Field{704, d.boot()})
	}
	hardware = append(hardware, Field{705, Number(160000)}, Field{706, Number(d.OSPatch)}, Field{718, Number(20260105)}, Field{719, Number(20260105)})
	software = append(software, Field{724, marshal(make([]byte, 32))}) // moduleHash: newer than many readers
	members := [][]byte{
		marshal(d.Version), marshal(asn1.Enumerated(d.Level)), marshal(d.Version), marshal(asn1.Enumerated(d.KeyMintLevel)),
		marshal(d.Challenge), marshal([]byte{}), authorizations(append(software, d.MoreSoftware...)), authorizations(append(hardware, d.More...)),
	}
	if d.Ninth {
		members = append(members, marshal(0))
	}
	return append(sequence(members...), d.Trailing...)
}

// key is what is said of the key itself.
func (d Draft) key() []Field {
	var purposes [][]byte
	for _, p := range d.Purposes {
		purposes = append(purposes, marshal(p))
	}
	out := []Field{
		{1, set(purposes...)}, {2, Number(d.Algorithm)}, {3, Number(d.Size)}, {5, set(marshal(4))}, {10, Number(d.Curve)},
	}
	if d.NoAuth {
		out = append(out, Field{503, asn1.NullBytes})
	}
	if d.UserAuth > 0 {
		out = append(out, Field{504, Number(d.UserAuth)})
	}
	if d.Timeout > 0 {
		out = append(out, Field{505, Number(d.Timeout)})
	}
	if d.AllApplications {
		out = append(out, Field{600, asn1.NullBytes})
	}
	return append(out, Field{702, Number(d.Origin)})
}

func (d Draft) boot() []byte {
	return sequence(marshal(make([]byte, 32)), marshal(d.Locked), marshal(asn1.Enumerated(d.BootState)), marshal(make([]byte, 32)))
}

// application is the AttestationApplicationId.
func (d Draft) application() []byte {
	var packages, digests [][]byte
	for _, p := range d.Packages {
		packages = append(packages, sequence(marshal([]byte(p)), marshal(42)))
	}
	for _, sum := range d.Digests {
		digests = append(digests, marshal(sum))
	}
	return sequence(set(packages...), set(digests...))
}

func authorizations(fields []Field) []byte {
	var out [][]byte
	for _, f := range fields {
		out = append(out, marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: f.Tag, IsCompound: true, Bytes: f.Value}))
	}
	return sequence(out...)
}

func sequence(members ...[]byte) []byte { return compound(asn1.TagSequence, members) }

func set(members ...[]byte) []byte { return compound(asn1.TagSet, members) }

func compound(tag int, members [][]byte) []byte {
	return marshal(asn1.RawValue{Tag: tag, IsCompound: true, Bytes: slices.Concat(members...)})
}

// marshal writes DER. What is written here can be written.
func marshal(v any) []byte {
	out, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}
