package flowdefs

import (
	"time"

	"github.com/stile-auth/stile/flows/assurance"
)

// reservedClaims are written by the issuer alone: a target's claims cannot touch them
// (RFC 7519 §4.1, RFC 7800, RFC 8693, RFC 9068, OpenID Connect Core §2).
func reservedClaims() []string {
	return []string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "sid", "acr", "amr",
		"auth_time", "cnf", "typ", "azp", "nonce", "at_hash", "c_hash", "events", "scope", "act", "may_act", "authorization_details",
	}
}

func (l *loader) target(key, n *node) {
	what := "target " + quote(key.text)
	o, ok := l.object(n, what, []string{"flow", "authorize", "requires", "scale", "enrol", "propagate"})
	if !ok {
		return
	}
	t := &Target{Name: key.text, Pos: key.pos}
	if flow := o.required("flow"); flow != nil {
		t.Flow = l.text(flow, "flow")
		if flow.kind == stringKind {
			l.refer("flows", flow.text, flow.pos)
		}
	}
	names, nodes := o.texts("authorize")
	for i, name := range names {
		l.refer("flows", name, nodes[i].pos)
		l.authorizing = append(l.authorizing, authorizing{t, name, nodes[i].pos})
	}
	t.Authorize = names
	if requires := n.get("requires"); requires != nil {
		t.Requires = l.requirement(requires, what+": requires")
	}
	if enrol := n.get("enrol"); enrol != nil {
		if t.Enrol = l.text(enrol, "enrol"); enrol.kind == stringKind {
			l.refer("flows", enrol.text, enrol.pos)
			l.enrolling = append(l.enrolling, authorizing{t, enrol.text, enrol.pos})
		}
	}
	t.Scale = l.scaleOf(o, t.Requires)
	if propagate := o.required("propagate"); propagate != nil {
		t.Propagate = l.propagates(propagate, key.text)
	}
	l.set.Targets[key.text] = t
}

func (l *loader) requirement(n *node, what string) Requirement {
	o, ok := l.object(n, what, []string{"acr", "max_age"})
	if !ok {
		return Requirement{}
	}
	return Requirement{ACR: l.levelName(o, "acr"), MaxAge: o.duration("max_age", 365*24*time.Hour)}
}

// level returns a level by name, None if the key is absent or wrong.
func (o object) level(key string) assurance.Level {
	name := o.word(key, assurance.Levels()...)
	level, err := assurance.ParseLevel(name)
	if err != nil {
		return assurance.None
	}
	return level
}
