package contract_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// hinted is a browser with a session, and the ID token of its sign-on.
func hinted(t *testing.T, w *world) (*party, *visitor, string) {
	t.Helper()
	p := newParty(t, w, "shop", shopSecret, "https://shop.example/back", "openid")
	b := newVisitor(t, w)
	b.open(p.address("resource", "https://orders.example"))
	b.signIn()
	token, err := p.trade(b.code())
	must(t, err)
	id, _ := token.Extra("id_token").(string)
	return p, b, id
}

// signedIn says whether the browser still has a session.
func (b *visitor) signedIn(p *party) bool {
	b.t.Helper()
	b.open(p.address("resource", "https://orders.example", "prompt", "none"))
	return b.gone != nil && b.gone.Query().Get("code") != ""
}

// Without a hint that tells of this browser's session, nobody is signed out by a link: the
// person is asked, and only the form of that page, in this browser, counts.
func TestSignOutIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	logout := w.node.URL() + "/oauth2/logout"
	_, _, foreign := hinted(t, w)
	bye := url.QueryEscape("https://shop.example/bye")
	for name, query := range map[string]string{
		"nothing":                "",
		"rubbish":                "?id_token_hint=e30.e30.e30",
		"another's session":      "?id_token_hint=" + foreign,
		"another client's":       "?client_id=other&id_token_hint=" + foreign,
		"a place that is no one": "?client_id=shop&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, b, _ := hinted(t, w)
			b.open(logout + query)
			b.shows(http.StatusOK, "Do you want to sign out?", `value="leave"`, `value="stay"`)
			if strings.Contains(b.policy, "evil") || !b.signedIn(p) {
				t.Fatalf("a link signs out; policy %s", b.policy)
			}
			b.open(logout + query)
			form := url.Values{"_answer": {"leave"}, "_token": {hiddenField.FindStringSubmatch(b.page)[2]}}
			forged := url.Values{"_answer": {"leave"}, "_token": {strings.Repeat("0", 64)}}
			b.post(logout, forged, "same-origin")
			b.shows(http.StatusOK, "Do you want to sign out?")
			b.post(logout, form, "cross-site")
			b.shows(http.StatusOK, "Do you want to sign out?")
			form.Set("_answer", "stay")
			b.post(logout, form, "same-origin")
			b.shows(http.StatusOK, "still signed in")
			if !b.signedIn(p) {
				t.Fatal("who stays is signed out")
			}
			b.open(logout + query) // the session has another secret now
			form = url.Values{"_answer": {"leave"}, "_token": {hiddenField.FindStringSubmatch(b.page)[2]}}
			b.post(logout, form, "same-origin")
			b.shows(http.StatusOK, "You are signed out.")
			if b.signedIn(p) {
				t.Error("who leaves is signed in")
			}
		})
	}
	t.Run("back to the client", func(t *testing.T) {
		t.Parallel()
		p, b, _ := hinted(t, w)
		query := "client_id=shop&state=s&post_logout_redirect_uri=" + bye
		b.open(logout + "?" + query)
		b.shows(http.StatusOK, `name="post_logout_redirect_uri" value="https://shop.example/bye"`)
		form, err := url.ParseQuery(query)
		must(t, err)
		form.Set("_token", hiddenField.FindStringSubmatch(b.page)[2])
		form.Set("_answer", "leave")
		b.post(logout, form, "same-origin")
		if b.gone == nil || b.gone.String() != "https://shop.example/bye?state=s" || b.signedIn(p) {
			t.Errorf("sent to %v, %d", b.gone, b.status)
		}
	})
}

// A relying party may post: the cookie stays behind, and the browser is sent here once more.
func TestSignOutIsPosted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t, setup{definitions: shop("")})
	t.Cleanup(func() { w.close(t) })
	p, b, id := hinted(t, w)
	own := b.client.Jar
	b.client.Jar = nil
	stop := b.client.CheckRedirect
	var next string
	b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		next = r.URL.String()
		return http.ErrUseLastResponse
	}
	b.post(w.node.URL()+"/oauth2/logout", url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {"https://shop.example/bye"}}, "cross-site")
	b.client.Jar, b.client.CheckRedirect = own, stop
	b.open(next)
	if b.gone == nil || b.gone.String() != "https://shop.example/bye" || b.signedIn(p) {
		t.Errorf("%s, then %v, %d", next, b.gone, b.status)
	}
}
