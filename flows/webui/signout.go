package webui

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flows"
)

// The answers to whether somebody wants to sign out.
const (
	answerLeave = "leave"
	answerStay  = "stay"
)

// AskSignOut asks the person whether they want to sign out. The form comes back to the
// action with the parameters of the request, and with what [Pages.AnswerOf] reads; redirect
// is where the action may then send the browser, "" if nowhere.
func (p *Pages) AskSignOut(w http.ResponseWriter, r *http.Request, action string, parameters url.Values, redirect string) {
	p.headers(w)
	s := p.speaker(parameters.Get("ui_locales"), r)
	v := view{
		Title: s.say("page.sign_out", nil), Texts: []string{s.say("page.leave", nil)}, Action: action,
		Hidden: []pair{{"_token", signOutToken(p.Session(r))}},
		Buttons: []pairLabel{
			{Value: answerLeave, Label: s.say("page.sign_out", nil)}, {Value: answerStay, Label: s.say("page.stay", nil)},
		},
	}
	for name, values := range parameters {
		if !strings.HasPrefix(name, "_") {
			v.Hidden = append(v.Hidden, pair{name, values[0]})
		}
	}
	slices.SortFunc(v.Hidden, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	p.allow(w, v, formTargets(redirect))
	s.write(w, p, http.StatusOK, v)
}

// AnswerOf reads what the person of this browser's session answered to [Pages.AskSignOut]:
// "leave", "stay", or "" if they did not. Another site can send a form, but it does not
// know the session whose token the form needs.
func (p *Pages) AnswerOf(r *http.Request, parameters url.Values) string {
	session := p.Session(r)
	right := []byte(signOutToken(session))
	if r.Method != http.MethodPost || session == "" || !p.ours(r) || !hmac.Equal([]byte(parameters.Get("_token")), right) {
		return ""
	}
	if answer := parameters.Get("_answer"); answer == answerLeave || answer == answerStay {
		return answer
	}
	return ""
}

// SignedOut is the page behind an answer that leads nowhere else.
func (p *Pages) SignedOut(w http.ResponseWriter, r *http.Request, answer string) {
	p.headers(w)
	s, id := p.speaker("", r), "page.left"
	if answer == answerStay {
		id = "page.stays"
	}
	s.write(w, p, http.StatusOK, view{Title: s.say("page.sign_out", nil), Texts: []string{s.say(id, nil)}})
}

// Fail tells the person that something does not work, as all pages do.
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, err error) {
	p.fail(w, r, err)
}

// signOutToken proves that a form is of a page that the browser with this session got.
func signOutToken(session flows.Secret) string {
	mac := hmac.New(sha256.New, []byte(session))
	mac.Write([]byte("stile sign-out"))
	return hex.EncodeToString(mac.Sum(nil))
}
