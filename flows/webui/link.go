package webui

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/stile-auth/stile/flows"
)

// LinkPath is where the pages of links are that were sent, below the base URL.
const LinkPath = "/link"

// What the form of a link's page can say.
const (
	confirms = "confirm"
	denies   = "deny"
)

// showMailed says who asks for what. It changes nothing but the browser's own
// cookie: whatever opens links before people do takes nothing away from them.
func (p *Pages) showMailed(w http.ResponseWriter, r *http.Request) {
	link := r.PathValue("link")
	page, err := p.Engine.MailedLink(r.Context(), flows.Secret(link), requestID(w))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	s := p.speaker(page.Locale, r)
	s.write(w, p, http.StatusOK, view{
		Title: s.say("page.title", nil), Action: LinkPath + "/" + link,
		Texts:   []string{s.say("page.link", map[string]string{"client": page.Client, "time": page.Started.UTC().Format("2006-01-02 15:04 UTC")})},
		Hidden:  []pair{{"_token", linkToken(p.visitor(w, r), link)}},
		Buttons: []pairLabel{{Value: confirms, Label: s.say("page.confirm", nil)}, {Value: denies, Label: s.say("page.deny", nil)}},
	})
}

// answerMailed confirms or denies. The code that it shows is shown once.
func (p *Pages) answerMailed(w http.ResponseWriter, r *http.Request) {
	link := r.PathValue("link")
	values, ok := posted(w, r)
	c, err := r.Cookie(p.linkCookie())
	if !ok || err != nil || !hmac.Equal([]byte(values.Get("_token")), []byte(linkToken(c.Value, link))) {
		p.fail(w, r, &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound, Err: err})
		return
	}
	var page flows.LinkPage
	switch values.Get("_answer") {
	case confirms:
		page, err = p.Engine.ConfirmLink(r.Context(), flows.Secret(link), requestID(w))
	case denies:
		page, err = p.Engine.DenyLink(r.Context(), flows.Secret(link), requestID(w))
	default:
		err = &flows.Problem{Kind: flows.KindNotFound, Code: flows.CodeNotFound}
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.setCookie(w, p.linkCookie(), "", -1)
	s := p.speaker(page.Locale, r)
	v := view{Title: s.say("page.title", nil), Texts: []string{s.say("page.denied", nil)}}
	if page.Code != "" {
		v.Texts, v.Code = []string{s.say("page.code", map[string]string{"client": page.Client})}, string(page.Code)
	}
	s.write(w, p, http.StatusOK, v)
}

// visitor is what the browser is known by: its form is answered by it alone, so
// that no other site can make a browser confirm a link that it knows.
func (p *Pages) visitor(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(p.linkCookie()); err == nil && len(c.Value) == 43 {
		return c.Value
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	value := base64.RawURLEncoding.EncodeToString(b[:])
	p.setCookie(w, p.linkCookie(), value, 0)
	return value
}

// linkToken proves that a form is of the page of this link, in this browser.
func linkToken(visitor, link string) string {
	mac := hmac.New(sha256.New, []byte(visitor))
	fmt.Fprintf(mac, "stile link\x00%s", link)
	return hex.EncodeToString(mac.Sum(nil))
}

func (p *Pages) linkCookie() string { return p.named("link") }
