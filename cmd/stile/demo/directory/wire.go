package directory

import (
	"bufio"
	"net"
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Operations, results and choices of filters (RFC 4511 §4.1.1, §4.1.9, §4.5.1.7).
const (
	opBind, opBound, opUnbind, opSearch, opEntry, opDone = 0, 1, 2, 3, 4, 5

	success, protocolError, sizeLimit, invalidCredentials, insufficientAccess = 0, 2, 4, 49, 50

	filterAnd, filterOr, filterNot, filterEqual, filterPresent = 0, 1, 2, 3, 7
)

// talk answers one connection until its end, or until something is said that it does not know.
func (d *Directory) talk(c net.Conn) {
	in := bufio.NewReader(c)
	bound := ""
	for {
		m, err := ber.ReadPacket(in)
		if err != nil || len(m.Children) < 2 {
			return
		}
		id, isID := m.Children[0].Value.(int64)
		op := m.Children[1]
		if !isID || op.ClassType != ber.ClassApplication || op.Tag == opUnbind {
			return
		}
		say := func(answer *ber.Packet) bool {
			out := ber.NewSequence("message")
			out.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, "id"))
			out.AppendChild(answer)
			_, err := c.Write(out.Bytes())
			return err == nil
		}
		going := false
		switch uint64(op.Tag) {
		case opBind:
			var code int64
			code, bound = d.bind(op)
			going = say(result(opBound, code))
		case opSearch:
			going = d.search(op, bound, say)
		}
		if !going {
			return
		}
	}
}

// bind returns its result, and who is bound then: "" for nobody (RFC 4511 §4.2.1).
func (d *Directory) bind(op *ber.Packet) (code int64, bound string) {
	if len(op.Children) != 3 || op.Children[2].Tag != 0 {
		return protocolError, ""
	}
	dn, password := text(op.Children[1]), text(op.Children[2])
	switch {
	case password == "": // unauthenticated, and a success (RFC 4513 §5.1.2)
		return success, ""
	case !d.binds(dn, password):
		return invalidCredentials, ""
	}
	return success, dn
}

func (d *Directory) search(op *ber.Packet, bound string, say func(*ber.Packet) bool) bool {
	if len(op.Children) != 8 {
		return say(result(opDone, protocolError))
	}
	if !strings.EqualFold(bound, d.reader) {
		return say(result(opDone, insufficientAccess))
	}
	most, _ := op.Children[3].Value.(int64)
	var wanted []string
	for _, a := range op.Children[7].Children {
		wanted = append(wanted, strings.ToLower(text(a)))
	}
	code := int64(success)
	for i, e := range d.below(text(op.Children[0]), func(e Entry) bool { return fits(op.Children[6], e) }) {
		if most > 0 && int64(i) >= most {
			code = sizeLimit
			break
		}
		if !say(entry(e, wanted)) {
			return false
		}
	}
	return say(result(opDone, code))
}

// fits holds an entry against a filter. What it does not know nothing fits.
func fits(f *ber.Packet, e Entry) bool {
	one := func(f *ber.Packet) bool { return fits(f, e) }
	switch uint64(f.Tag) {
	case filterAnd:
		return !slices.ContainsFunc(f.Children, func(f *ber.Packet) bool { return !one(f) })
	case filterOr:
		return slices.ContainsFunc(f.Children, one)
	case filterNot:
		return len(f.Children) == 1 && !one(f.Children[0])
	case filterEqual:
		return len(f.Children) == 2 && slices.ContainsFunc(e.Attributes[strings.ToLower(text(f.Children[0]))], func(v string) bool {
			return strings.EqualFold(v, text(f.Children[1])) // caseIgnoreMatch, as most attributes have it
		})
	case filterPresent:
		return len(e.Attributes[strings.ToLower(text(f))]) > 0
	}
	return false
}

func text(p *ber.Packet) string {
	if s, ok := p.Value.(string); ok {
		return s
	}
	return p.Data.String()
}

func result(op ber.Tag, code int64) *ber.Packet {
	out := ber.Encode(ber.ClassApplication, ber.TypeConstructed, op, nil, "result")
	out.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, "code"))
	out.AppendChild(octets("")) // the name as far as it is known
	out.AppendChild(octets("")) // why
	return out
}

func entry(e Entry, wanted []string) *ber.Packet {
	out := ber.Encode(ber.ClassApplication, ber.TypeConstructed, opEntry, nil, "entry")
	out.AppendChild(octets(e.DN))
	all := ber.NewSequence("attributes")
	for _, name := range wanted {
		if len(e.Attributes[name]) == 0 {
			continue
		}
		a := ber.NewSequence("attribute")
		a.AppendChild(octets(name))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "values")
		for _, v := range e.Attributes[name] {
			values.AppendChild(octets(v))
		}
		a.AppendChild(values)
		all.AppendChild(a)
	}
	out.AppendChild(all)
	return out
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}
