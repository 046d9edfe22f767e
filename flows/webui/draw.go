package webui

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// The codes of prompts that are more than fields and words.
const (
	codeSSO           = "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED" // answered by going to a provider
	codePasskey       = "PASSKEY_REQUIRED"
	codePasskeyMade   = "PASSKEY_ENROLMENT_REQUIRED" //nolint:gosec // no credential: the name of a prompt
	codeMagicLink     = "MAGIC_LINK_REQUIRED"
	codeTOTPMade      = "TOTP_ENROLMENT_REQUIRED"
	codeHOTPMade      = "HOTP_ENROLMENT_REQUIRED"
	codeRecoveryMade  = "RECOVERY_CODE_SETUP_REQUIRED"
	codeAuthenticator = "AUTHENTICATOR_REMOVAL_REQUIRED"
)

// drawable are the prompts that pages draw beside those whose answers are typed.
func drawable() []string {
	return []string{
		codeSSO, flows.CodeSelection, flows.CodeWait, codePasskey, codePasskeyMade,
		codeMagicLink, codeTOTPMade, codeHOTPMade, codeRecoveryMade, codeAuthenticator,
	}
}

// How long a page that waits lets pass before it looks again.
const (
	lookAgain   = 5 * time.Second
	longestLook = time.Minute
)

// passkeyScript is the only script that prompts need; the policy knows it by its hash.
//
//go:embed passkey.js
var passkeyScript string

// onwardScript sends the form of a page that has nothing else.
const onwardScript = "document.forms[0].submit()"

// hashOf is what a policy calls an inline style or script (CSP Level 3 §2.3.1).
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// ceremony is what the script is told of a prompt for a passkey.
type ceremony struct {
	Name, Options                   string
	Unable, Failed, Known, NoScript string
}

// shown is what the data of prompts may say to people, whatever the step type.
type shown struct {
	Message     string            `json:"message"`
	Arguments   map[string]string `json:"arguments"`
	Text        string            `json:"text"`
	URL         string            `json:"url"`
	Client      string            `json:"client"`
	New         []string          `json:"new"`
	Codes       json.RawMessage   `json:"codes"` // a list to keep, or how many are asked for
	QRCodeSVG   string            `json:"qrCodeSvg"`
	Secret      string            `json:"secret"`
	URI         string            `json:"uri"`
	Destination string            `json:"destination"`
	Confirmed   *bool             `json:"confirmed"`
	Refused     string            `json:"refused"`
	Needed      int               `json:"needed"`
	Until       time.Time         `json:"until"`
	RequestURI  string            `json:"authorizationRequestUri"`
}

// picture is what a data URI of a picture begins with: nothing is fetched for it.
const picture = "data:image/svg+xml;base64,"

// drawn is what a page shows of a prompt: words, pictures, fields, buttons.
func (p *Pages) drawn(s speaker, page flows.Page) (view, error) {
	var d shown
	if err := json.Unmarshal(page.Data, &d); err != nil {
		return view{}, fmt.Errorf("webui: data of %s: %w", page.Code, err)
	}
	v := view{Prompt: page.Code, Title: s.say(flowdefs.PromptMessage(page.Code), nil), Button: s.say("action.submit", nil)}
	s.words(&v, d)
	if page.Code == codeSSO {
		v.Link, v.Continue, v.Button = d.RequestURI, v.Button, ""
		return v, nil
	}
	if page.Code == flows.CodeWait {
		v.Refresh = p.untilThen(d.Until)
		v.Texts, v.Button = append(v.Texts, s.say("page.waits", nil)), s.say("page.look", nil)
		return v, nil
	}
	fields, err := formOf(page)
	if err != nil {
		return view{}, err
	}
	switch {
	case len(fields) == 0:
		v.Button = s.say("action.acknowledge", nil)
	case d.Confirmed != nil && !*d.Confirmed: // something has to happen elsewhere first
		v.Refresh, v.Button = int(lookAgain/time.Second), ""
		v.Texts, v.Link, v.Continue = append(v.Texts, s.say("page.waits", nil)), SignInPath, s.say("page.look", nil)
		return v, nil
	case fields[0].Type == typeDecision:
		v.Buttons = []pairLabel{{Value: "true", Label: s.say("field."+fields[0].Name, nil)}, {Value: "false", Label: s.say("page.decline", nil)}}
		return v, nil
	}
	v.Fields = s.label(fields)
	if page.Code == codePasskey || page.Code == codePasskeyMade {
		v.Script = template.JS(passkeyScript) //nolint:gosec // it is ours
		v.Ceremony = &ceremony{
			Name: "get", Options: string(page.Data), Unable: s.say("page.unable", nil), Failed: s.say("page.failed", nil),
			Known: s.say("page.known", nil), NoScript: s.say("page.noscript", nil),
		}
		if page.Code == codePasskeyMade {
			v.Ceremony.Name = "create"
		}
	}
	return v, nil
}

// over says whether a delay is what a run waited for.
func (p *Pages) over(v flows.View) bool {
	page, err := pageOf(v)
	var d shown
	return err == nil && page.Code == flows.CodeWait && json.Unmarshal(page.Data, &d) == nil && !p.Now().Before(d.Until)
}

// untilThen is in how many seconds a page looks again that waits for an instant.
func (p *Pages) untilThen(at time.Time) int {
	left := at.Sub(p.Now()) + time.Second
	return int(math.Ceil(min(max(left, time.Second), longestLook).Seconds()))
}

// words are what a prompt says.
func (s speaker) words(v *view, d shown) {
	add := func(id string, arguments map[string]string) { v.Texts = append(v.Texts, s.say(id, arguments)) }
	if d.Message != "" {
		add(d.Message, d.Arguments)
	}
	if d.Text != "" {
		add(d.Text, nil)
	}
	if d.Refused != "" {
		v.Wrong = s.say(d.Refused, nil)
	}
	if d.Destination != "" {
		add("page.sent", map[string]string{"destination": d.Destination})
	}
	if d.Needed > 0 {
		add("page.needed", map[string]string{"count": strconv.Itoa(d.Needed)})
	}
	if len(d.New) > 0 {
		add("page.asks", map[string]string{"client": d.Client})
		for _, name := range d.New {
			v.List = append(v.List, s.asked(name))
		}
	}
	if strings.HasPrefix(d.URL, "https://") {
		v.Document, v.DocumentText = d.URL, s.say("page.document", nil)
	}
	if len(d.Codes) > 0 && d.Codes[0] == '[' && json.Unmarshal(d.Codes, &v.Codes) != nil {
		v.Codes = nil
	}
	if d.Secret != "" {
		v.Key, v.KeyText = d.Secret, s.say("page.key", nil)
	}
	if strings.HasPrefix(d.QRCodeSVG, picture) {
		v.Picture, v.PictureText = template.URL(d.QRCodeSVG), s.say("page.picture", nil) //nolint:gosec // a picture that stands in the address itself
	}
	if strings.HasPrefix(d.URI, "otpauth://") {
		v.App, v.AppText = template.URL(d.URI), s.say("page.app", nil) //nolint:gosec // of this scheme
	}
}

// asked says what an app asks for: by the text "scope.NAME" or "claim.NAME" of the definitions, else by its name.
func (s speaker) asked(name string) string {
	claim, isClaim := strings.CutPrefix(name, "claim:")
	id := flowdefs.ScopeMessage(claim)
	if isClaim {
		id = flowdefs.ClaimMessage(claim)
	}
	text, ok := s.messages.Text(s.locale, id, nil)
	if !ok {
		text = claim
	}
	if isClaim {
		return s.say("page.claim", map[string]string{"name": text})
	}
	return text
}
