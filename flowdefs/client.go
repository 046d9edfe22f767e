package flowdefs

func (l *loader) client(key, n *node) {
	what := "client " + quote(key.text)
	o, ok := l.object(n, what,
		[]string{"flows", "targets", "redirect_uris", "origins", "dpop"},
		[]string{"secret", "client_secret", "jwks", "jwks_uri", "auth_method", "capabilities", "name"})
	if !ok {
		return
	}
	c := &Client{ID: key.text, Pos: key.pos}
	c.Flows = l.referAll(o, "flows")
	c.Targets = l.referAll(o, "targets")
	if len(c.Flows)+len(c.Targets) == 0 && len(l.of(n, "flows"))+len(l.of(n, "targets")) == 0 {
		l.fail(n.pos, "%s may start nothing: name flows or targets", what)
	}
	c.RedirectURIs = l.urls(o, "redirect_uris", redirectURL)
	c.Origins = l.urls(o, "origins", originURL)
	// A stolen handle is worthless without the key: the safe choice is the default.
	c.DPoPRequired = o.word("dpop", "required", "optional") != "optional"
	l.set.Clients[key.text] = c
}

// of returns the entries of a list, right or wrong.
func (l *loader) of(n *node, key string) []*node {
	if v := n.get(key); v != nil {
		return v.items
	}
	return nil
}

func (l *loader) urls(o object, key string, check urlCheck) []string {
	texts, nodes := o.texts(key)
	for _, n := range nodes {
		l.checkURL(n, key, check)
	}
	return texts
}
