package flowdefs

func (l *loader) client(key, n *node) {
	if c := l.readClient(key, n); c != nil {
		l.set.Clients[key.text] = c
	}
}

// readClient reads a client, wherever it stands; nil if it is none.
func (l *loader) readClient(key, n *node) *Client {
	what := "client " + quote(key.text)
	o, ok := l.object(n, what,
		[]string{"flows", "targets", "redirect_uris", "provider_redirects", "origins", "dpop", "hand_over", "post_logout_redirect_uri", "requires", "ttl", "oauth"})
	if !ok {
		return nil
	}
	c := &Client{ID: key.text, Pos: key.pos, TTL: o.duration("ttl", maxTTL)}
	c.Flows = l.referAll(o, "flows")
	c.Targets = l.referAll(o, "targets")
	if empty(n.get("flows")) && empty(n.get("targets")) {
		l.fail(n.pos, "%s may start nothing: name flows or targets", what)
	}
	c.RedirectURIs = l.urls(o, "redirect_uris", redirectURL)
	l.providerRedirects(c, o)
	if n := n.get("post_logout_redirect_uri"); n != nil {
		c.SignedOutURI = l.text(n, "post_logout_redirect_uri")
		l.checkURL(n, "post_logout_redirect_uri", redirectURL)
	}
	c.Origins = l.urls(o, "origins", originURL)
	// A stolen handle is worthless without the key: the safe choice is the default.
	c.DPoPRequired = o.word("dpop", "required", "optional") != "optional"
	c.HandOver = o.word("hand_over", "web") == "web"
	if c.HandOver && len(c.RedirectURIs) == 0 {
		l.fail(n.get("hand_over").pos, "%s hands over to the web: name redirect_uris, which the browser comes back to", what)
	}
	if requires := n.get("requires"); requires != nil {
		c.Requires = l.requirement(requires, what+": requires")
	}
	if oauth := n.get("oauth"); oauth != nil {
		l.oauth(c, oauth, what)
	}
	return c
}

// empty reports whether a list is absent or has no entries.
func empty(n *node) bool {
	return n == nil || n.kind == sequenceKind && len(n.items) == 0
}

func (l *loader) urls(o object, key string, check urlCheck) []string {
	texts, nodes := o.texts(key)
	for _, n := range nodes {
		l.checkURL(n, key, check)
	}
	return texts
}
