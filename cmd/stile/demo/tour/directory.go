package tour

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// directory is a small LDAP directory: it listens with TLS, and knows what RFC 4511
// calls simple bind, search by equality, and unbind. One entry is a person, another
// is who searches.
type directory struct {
	listener net.Listener
	url      string
	ca       []byte // its certificate, PEM
	entries  []entry
}

type entry struct {
	dn, password string
	attributes   map[string]string
}

const (
	searcher       = "cn=stile,dc=bank,dc=example"
	searcherSecret = "only the server knows this"
)

// The operations and result codes of RFC 4511 that occur here.
const (
	bindRequest, bindResponse                          = 0, 1
	searchRequest, searchResultEntry, searchResultDone = 3, 4, 5
	success, invalidCredentials, insufficientAccess    = 0, 49, 50
)

func openDirectory(ctx context.Context, now time.Time, people ...entry) (*directory, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "directory of the tour"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &directory{
		url: "ldaps://" + l.Addr().String(), ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		listener: tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}),
		entries:  append(people, entry{dn: searcher, password: searcherSecret}),
	}
	go d.serve()
	return d, nil
}

func (d *directory) serve() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		go d.talk(c)
	}
}

// talk answers one connection, until it ends or says something else.
func (d *directory) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	bound := ""
	for {
		request, err := ber.ReadPacket(c)
		if err != nil || len(request.Children) < 2 {
			return
		}
		id, op := request.Children[0], request.Children[1]
		var answers []*ber.Packet
		switch {
		case op.Tag == bindRequest && len(op.Children) == 3:
			code := invalidCredentials
			if bound = d.bind(text(op.Children[1]), op.Children[2].Data.String()); bound != "" {
				code = success
			}
			answers = append(answers, result(bindResponse, code))
		case op.Tag == searchRequest && len(op.Children) == 8 && bound == searcher:
			answers = append(d.search(op.Children[6]), result(searchResultDone, success))
		case op.Tag == searchRequest:
			answers = append(answers, result(searchResultDone, insufficientAccess))
		default:
			return
		}
		for _, answer := range answers {
			message := ber.NewSequence("message")
			message.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id.Value, ""))
			message.AppendChild(answer)
			if _, err := c.Write(message.Bytes()); err != nil {
				return
			}
		}
	}
}

func text(p *ber.Packet) string {
	s, _ := p.Value.(string)
	return s
}

// bind returns whom it binds, "" for a wrong password or no name.
func (d *directory) bind(dn, password string) string {
	for _, e := range d.entries {
		if e.dn == dn && e.password == password && password != "" {
			return dn
		}
	}
	return ""
}

func (d *directory) search(filter *ber.Packet) []*ber.Packet {
	var out []*ber.Packet
	for _, e := range d.entries {
		if !e.fits(filter) {
			continue
		}
		found := ber.Encode(ber.ClassApplication, ber.TypeConstructed, searchResultEntry, nil, "entry")
		found.AppendChild(octets(e.dn))
		all := ber.NewSequence("attributes")
		for name, value := range e.attributes {
			one, values := ber.NewSequence("attribute"), ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "values")
			values.AppendChild(octets(value))
			one.AppendChild(octets(name))
			one.AppendChild(values)
			all.AppendChild(one)
		}
		found.AppendChild(all)
		out = append(out, found)
	}
	return out
}

// fits knows and (0), or (1) and equality (3) of RFC 4511 §4.5.1.7; nothing fits another filter.
func (e entry) fits(filter *ber.Packet) bool {
	switch filter.Tag {
	case 0:
		return !slices.ContainsFunc(filter.Children, func(f *ber.Packet) bool { return !e.fits(f) })
	case 1:
		return slices.ContainsFunc(filter.Children, e.fits)
	case 3:
		return len(filter.Children) == 2 && e.attributes[text(filter.Children[0])] != "" &&
			strings.EqualFold(e.attributes[text(filter.Children[0])], text(filter.Children[1]))
	default:
		return false
	}
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// result is an LDAPResult of that operation.
func result(op ber.Tag, code int) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, op, nil, "result")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	p.AppendChild(octets(""))
	p.AppendChild(octets(""))
	return p
}

func (d *directory) close() error { return d.listener.Close() }
