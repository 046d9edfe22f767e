package flowdefs

import (
	"net/url"
	"regexp"

	"github.com/stile-auth/stile/flows/assurance"
)

// Directory is an LDAP directory that verifies passwords.
type Directory struct {
	Name         string
	URL          string     // ldaps://, or ldap:// with StartTLS: never without TLS
	BindDN       string     // who searches
	BindPassword *SecretRef // nil: nobody in particular searches
	Base         string     // below which people are
	ObjectClass  string     // of people
	Logins       []string   // attributes that a login is looked for in
	ID           string     // attribute that stays when a person is renamed
	Attributes   map[string]string
	GroupBase    string            // below which groups are; "": none
	Member       string            // attribute of a group with the DNs of its members
	Roles        map[string]string // by cn of a group: the role that its members have
	Provision    Provision
	Binding      assurance.Level // at which its people are bound; default AAL1
	Pos          Pos
}

var (
	attributeForm = shortForm(`^[A-Za-z][A-Za-z0-9-]{0,63}$`) //nolint:gochecknoglobals // descr of RFC 4512 §1.4, without options; nothing changes it
	roleForm      = regexp.MustCompile(`^[^,\s](?:[^,]*[^,\s])?$`)
)

func (l *loader) directory(key, n *node) {
	what := "directory " + quote(key.text)
	o, ok := l.object(n, what, []string{"url", "bind_dn", "bind_password", "base", "object_class", "logins", "id", "attributes", "groups", "provision", "binding"})
	if !ok {
		return
	}
	d := &Directory{
		Name: key.text, Pos: key.pos, URL: o.requiredText("url"), BindDN: o.text("bind_dn"), Base: o.requiredText("base"),
		ObjectClass: "inetOrgPerson", Logins: []string{"uid"}, ID: "entryUUID", Provision: ProvisionNever, Binding: assurance.AAL1,
	}
	if at := n.get("url"); d.URL != "" {
		l.checkURL(at, "url", directoryURL)
	}
	if secret := n.get("bind_password"); secret != nil {
		d.BindPassword = l.secret(secret, what+": bind_password")
	}
	if (d.BindDN == "") != (n.get("bind_password") == nil) {
		l.fail(n.pos, "%s: bind_dn and bind_password stand together: a name without a password binds nobody", what)
	}
	l.attribute(o, "object_class", &d.ObjectClass)
	l.attribute(o, "id", &d.ID)
	if names, nodes := o.texts("logins"); len(names) > 0 {
		d.Logins = names
		for i, name := range names {
			if !attributeForm.MatchString(name) {
				l.fail(nodes[i].pos, "logins: %s is no name of an attribute", quote(name))
			}
		}
	}
	d.Attributes = l.table(o, "attributes", attributeForm, "is no name of an attribute")
	if g := n.get("groups"); g != nil {
		l.groups(d, g, what+": groups")
	}
	if word := o.word("provision", string(ProvisionNever), string(ProvisionLinkOnly), string(ProvisionCreate)); word != "" {
		d.Provision = Provision(word)
	}
	if n.get("binding") != nil {
		d.Binding = o.level("binding")
	}
	l.set.Directories[key.text] = d
}

func (l *loader) groups(d *Directory, n *node, what string) {
	o, ok := l.object(n, what, []string{"base", "member", "roles"})
	if !ok {
		return
	}
	d.GroupBase, d.Member = o.requiredText("base"), "member"
	l.attribute(o, "member", &d.Member)
	if o.required("roles") != nil {
		d.Roles = l.table(o, "roles", roleForm, "is no role: a role has no comma and no space around it")
	}
}

// attribute reads a name of the directory's schema, if it is there.
func (l *loader) attribute(o object, key string, dst *string) {
	at := o.n.get(key)
	if at == nil {
		return
	}
	if *dst = o.text(key); at.kind == stringKind && !attributeForm.MatchString(*dst) {
		l.fail(at.pos, "%s: %s is no name of an attribute", key, quote(*dst))
	}
}

// table reads a mapping of names to texts of a form.
func (l *loader) table(o object, key string, form interface{ MatchString(s string) bool }, otherwise string) map[string]string {
	n := o.n.get(key)
	if n == nil {
		return nil
	}
	if n.kind != mappingKind {
		l.fail(n.pos, "%s: expected a mapping, found %s", key, n.describe())
		return nil
	}
	out := map[string]string{}
	for i, k := range n.keys {
		text := l.text(n.items[i], key+": "+k.text)
		if n.items[i].kind == stringKind && !form.MatchString(text) {
			l.fail(n.items[i].pos, "%s: %s %s", key, quote(text), otherwise)
		}
		out[k.text] = text
	}
	return out
}

// directoryURL allows what is or becomes TLS, and nothing beside the host.
func directoryURL(u *url.URL, text string) string {
	if u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.Scheme+"://"+u.Host != text {
		return "expected ldaps://HOST, or ldap://HOST for StartTLS, perhaps with a port and with nothing else"
	}
	return ""
}
