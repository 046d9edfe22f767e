package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// way is how a person gets through a flow of the examples.
type way struct {
	picks     []string // options that are taken where there is a choice; else the first
	amr       string   // what the ID token must say, among others; "": the provider has said nothing of it
	elsewhere bool     // the person has an account at the provider
	linked    bool     // and it is linked to the one here
	letter    bool     // the person gets a code by letter
	behind    string   // flow that runs behind it
	args      []string // of "users add"
}

// drawn are the flows of flowdefs/examples that a browser completes on the pages.
var drawn = map[string]way{
	"authenticator-app":  {amr: "pwd"},
	"back-office":        {amr: "otp"},
	"branch-office":      {linked: true, behind: "groups", args: []string{"--attribute", "employee=4711"}},
	"browser":            {amr: "otp"},
	"button":             {amr: "pwd"},
	"codes-to-keep":      {amr: "otp"},
	"club":               {amr: "pwd", behind: "budget-planner"},
	"coffee":             {amr: "sms"},
	"connect":            {elsewhere: true, amr: "otp"},
	"counter":            {amr: "pwd"},
	"files":              {elsewhere: true},
	"first-or-next-time": {elsewhere: true, picks: []string{"own"}, amr: "pwd"},
	"front-door":         {linked: true, picks: []string{"staff"}},
	"lost-password":      {amr: "otp"},
	"lost-phone":         {picks: []string{"mail"}, amr: "pwd"},
	"magic-link":         {amr: "otp"},
	"newcomer":           {amr: "pwd"},
	"night-desk":         {amr: "otp"},
	"old-app":            {amr: "otp"},
	"passkey":            {picks: []string{"typed"}, amr: "otp"},
	"password-change":    {amr: "pwd"},
	"password-totp":      {amr: "otp"},
	"pension":            {amr: "pwd"},
	"reading-room":       {amr: "otp"},
	"risk":               {amr: "otp"},
	"sign-in-again":      {picks: []string{"code"}, amr: "otp"},
	"single-sign-on":     {linked: true},
	"step-up":            {amr: "pwd"},
	"taxi":               {amr: "sms"},
	"text-message":       {amr: "sms"},
	"two-steps":          {amr: "otp", behind: "tellers-only", args: []string{"--attribute", "roles=teller"}},
	"visitors":           {picks: []string{"password"}, amr: "pwd"},
	"welcome":            {letter: true, amr: "otp"},
	"workplace":          {amr: "otp"},
}

// notDrawn are all others, with what a browser lacks.
var notDrawn = map[string]string{
	"approve-payment": aPhone, "customer-portal": aPhone, "everyday": aPhone, "first-phone": aPhone, "mobile-banking": aPhone, "one-touch": aPhone,
	"phone-pin": aPhone, "server-pin": aPhone, "touch-only": aPhone, "transfer": aPhone,
	"budget-planner": behind, "groups": behind, "tellers-only": behind,
	"native": anApp, "native-access": anApp, "native-social": anApp,
	"my-authenticators": noTarget,
}

const (
	aPhone   = "it asks for a key of a phone, which an app holds"
	behind   = "it runs behind a sign-in, and never by itself: another example is drawn with it"
	noTarget = "it manages what an account has, and leads to no target"
	anApp    = "it takes a token that the SDK of another provider gave to an app"
)

var flowName = regexp.MustCompile(`^  ([a-z][a-z-]*):`)

// examples copies the flows of the examples, with other addresses where that is asked for, and returns their names.
func (w *world) examples(replaced ...string) []string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "flowdefs", "examples", "*.yaml"))
	must(w.t, err)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, ".test.yaml") {
			continue
		}
		text, err := os.ReadFile(file)
		must(w.t, err)
		w.write(filepath.Join("flows", filepath.Base(file)), strings.NewReplacer(replaced...).Replace(string(text)))
		section := ""
		for line := range strings.Lines(string(text)) {
			if line[0] >= 'a' && line[0] <= 'z' {
				section = line
			}
			if m := flowName.FindStringSubmatch(line); m != nil && strings.HasPrefix(section, "flows:") {
				names = append(names, m[1])
			}
		}
	}
	return names
}

// An example is drawn, or it is said why not.
func TestExamplesAreDrawnOrNot(t *testing.T) {
	t.Parallel()
	w := &world{t: t, folder: t.TempDir()}
	names := w.examples()
	for _, name := range names {
		_, yes := drawn[name]
		if _, no := notDrawn[name]; yes == no {
			t.Errorf("%s: drawn %v, with a reason why not %v", name, yes, no)
		}
	}
	if n := len(drawn) + len(notDrawn); n != len(names) {
		t.Errorf("%d examples, and %d are named", len(names), n)
	}
}

// configure writes what an operator writes: where everything is that the examples name.
func (w *world) configure(s *site, h *house, directory string) {
	w.write("secret", providerSecret)
	w.write("bind", "search for people")
	w.write("root.pem", s.root)
	w.write("password", password)
	w.env = []string{"SSL_CERT_FILE=" + filepath.Join(w.folder, "root.pem"), "STILE_RISK_SECRET=" + callSecret, "STILE_ENTITLEMENTS_SECRET=" + callSecret}
	text := fmt.Sprintf("definitions: flows\nbase_url: %[1]q\npasskeys: { rp_id: localhost, origins: [%[1]q] }\ncalls: { private_hosts: [localhost] }\ndelivery: { by: file, file: messages.txt, per_client: 0 }\n", s.server)
	text += "providers:\n"
	for _, name := range []string{"corporate", "agency", "cloud"} {
		text += fmt.Sprintf("  %s: { issuer: %q, client_secret: { file: secret }, network: loopback }\n", name, h.issuer)
	}
	text += "directories:\n"
	for _, name := range []string{"staff", "teams"} {
		text += fmt.Sprintf("  %s: { url: %q, bind_password: { file: bind }, ca: root.pem }\n", name, directory)
	}
	w.write("stile.yaml", text)
}

// adds makes the person who goes through a flow.
func (w *world) adds(s *site, h *house, name string, i int) *person {
	how := drawn[name]
	p := &person{site: s, login: "p" + name, phone: fmt.Sprintf("+4179555%04d", i), picks: how.picks}
	args := append([]string{"users", "add", p.login, "--password-file", "password", "--binding", "aal2", "--email", p.login + "@bank.example", "--phone", p.phone}, how.args...)
	if name != "authenticator-app" && name != "password-change" && name != "newcomer" && name != "first-or-next-time" {
		args = append(args, "--totp")
	}
	if how.elsewhere || how.linked {
		there := h.knows(p.login)
		if how.linked {
			args = append(args, "--link", there)
		}
	}
	if name == "counter" { // whom the directory has
		return p
	}
	out := w.run(args...)
	if m := seedIn.FindStringSubmatch(out); m != nil {
		p.seed = m[1]
	}
	if how.letter {
		p.letter = letterIn.FindString(w.run("users", "activation-code", p.login, "--format", "json"))
	}
	return p
}

// letterIn is a code that comes by letter.
var letterIn = regexp.MustCompile(`[0-9A-Z]{4}(-[0-9A-Z]{4})+|\b[0-9]{8,}\b`)

// callSecret signs the calls of web services.
const callSecret = "0123456789abcdef0123456789abcdef"

// person is somebody with an account, who can read what a page shows.
type person struct {
	*world
	site  *site
	login string
	phone string
	seed  string
	picks []string
	code  string // that the page of a link has shown

	letter string // the code that came by letter
}

// Every example that a browser can draw completes in one, by keyboard, with TLS, and each
// page on the way can be used by everybody; the relying party reads what was done.
func TestPages(t *testing.T) {
	t.Parallel()
	binary, err := build()
	must(t, err)
	s := newSite(t)
	w := &world{t: t, binary: binary, folder: t.TempDir()}
	w.examples("https://risk.bank.example", services(s), "https://entitlements.bank.example", services(s))
	h := newHouse(w, s)
	w.configure(s, h, w.directory(s))
	targets, flows, audiences := "targets:\n", []string{}, []string{}
	for name, how := range drawn {
		targets += fmt.Sprintf("  page-%s: { flow: %s, authorize: [%s], requires: { acr: aal1 }, propagate: { type: bearer_jwt, audience: \"https://%s.page.example\" } }\n", name, name, how.behind, name)
		flows, audiences = append(flows, name), append(audiences, "page-"+name)
	}
	w.write("flows/pages.yaml", targets+fmt.Sprintf(`clients:
  shop: { flows: [%s], targets: [%s], redirect_uris: [%q], dpop: optional, oauth: { auth: none, grants: [authorization_code], scopes: [openid] } }
`, strings.Join(flows, ", "), strings.Join(audiences, ", "), s.party+"/back"))
	people := map[string]*person{}
	for i, name := range flows {
		people[name] = w.adds(s, h, name, i)
	}
	h.open()
	w.serveOn(s.listen)
	w.browseWith(10*patience, chromedp.Flag("ignore-certificate-errors-spki-list", s.authority))
	must(t, chromedp.Do(w.ctx, chromedp.Navigate("about:blank")))
	for name, how := range drawn {
		t.Run(name, func(t *testing.T) {
			p := people[name]
			p.world = w.tab(t)
			got := p.signsOn("https://" + name + ".page.example")
			if how.amr != "" && !slices.Contains(got.AMR, how.amr) || got.Nonce != "n" || got.ACR == "" {
				t.Fatalf("%+v", got)
			}
			if name != "passkey" {
				return
			}
			if n := len(p.credentials()); n != 1 {
				t.Fatalf("%d passkeys were made", n)
			}
			p.picks = []string{"key"}
			if got := p.signsOn("https://passkey.page.example", "prompt", "select_account"); !slices.Contains(got.AMR, "pop") {
				t.Errorf("with the passkey: %+v", got)
			}
		})
	}
}

var seedIn = regexp.MustCompile(`secret=([A-Z2-7]+)`)

// seen is what the page tells of itself.
type seen struct {
	Prompt  string   `json:"prompt"`
	Wrong   string   `json:"wrong"`
	Options []string `json:"options"`
	Fields  []string `json:"fields"`
	Listed  string   `json:"listed"` // the first of the authenticators
	Others  []string `json:"others"`
	Key     string   `json:"key"`
	Codes   []string `json:"codes"`
	Faults  []string `json:"faults"` // what some people could not use
	Address string   `json:"address"`
}

// looks waits for a page that is not the one of before, and reads it.
func (p *person) looks() seen {
	p.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := chromedp.Run(p.ctx, chromedp.Evaluate[*seen](look))
		if err == nil && s != nil {
			return *s
		}
		select {
		case <-tick.C:
		case <-end:
			text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.documentElement.outerHTML`))
			p.t.Fatalf("the page stays as it is: %v\n%s", err, text)
		}
	}
}

// signsOn goes through the pages until the relying party has the browser back.
func (p *person) signsOn(audience string, more ...string) said {
	p.t.Helper()
	must(p.t, chromedp.Do(p.ctx, chromedp.Navigate(p.site.asks(audience, more...))))
	for range 20 {
		page := p.looks()
		for page.Prompt == "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED" && page.Wrong == "" { // the browser goes on by itself
			page = p.looks()
		}
		if len(page.Faults) > 0 {
			p.t.Errorf("%s: %v", page.Prompt, page.Faults)
		}
		if page.Prompt == "BACK" {
			return p.site.trade(page.Address)
		}
		if page.Wrong != "" {
			p.t.Fatalf("%s: %s", page.Prompt, page.Wrong)
		}
		p.answers(page)
	}
	p.t.Fatal("the pages do not end")
	return said{}
}

// answers fills the form in and sends it with the Enter key.
func (p *person) answers(page seen) {
	p.t.Helper()
	values, button := map[string]string{}, "button[type=submit]:not([name=_other])"
	if i := slices.IndexFunc(page.Others, func(o string) bool { return o == "activate add-key" }); i >= 0 && page.Prompt == "OTP_REQUIRED" {
		p.press(values, `button[value="`+page.Others[i]+`"]`)
		return
	}
	for _, name := range page.Fields {
		switch name {
		case "username":
			values[name] = p.login
		case "password", "current":
			values[name] = password
		case "new":
			values[name] = password + " and more"
		}
	}
	switch page.Prompt {
	case "SELECTION_REQUIRED":
		pick := page.Options[0]
		if i := slices.IndexFunc(page.Options, func(o string) bool { return slices.Contains(p.picks, o) }); i >= 0 {
			pick = page.Options[i]
		}
		values["select"] = pick
	case "OTP_REQUIRED":
		values["code"] = otp(p.t, p.seed, uint64(time.Now().Unix()/30)) //nolint:gosec // after 1970
	case "TOTP_ENROLMENT_REQUIRED":
		values["code"] = otp(p.t, page.Key, uint64(time.Now().Unix()/30)) //nolint:gosec // after 1970
	case "RECOVERY_CODE_SETUP_REQUIRED":
		values["code"] = page.Codes[0]
	case "SMS_CODE_REQUIRED", "EMAIL_CODE_REQUIRED":
		values["code"] = p.message(codeIn)
	case "ACTIVATION_CODE_REQUIRED":
		values["code"] = p.letter
	case "AUTHENTICATOR_REMOVAL_REQUIRED":
		values["action"], values["authenticator"] = "remove", page.Listed
	case "MAGIC_LINK_REQUIRED":
		if !slices.Contains(page.Fields, "code") { // the page looks again by itself
			if p.code == "" {
				p.confirms()
			}
			p.old()
			return
		}
		values["code"] = p.code
	case "WAIT_REQUIRED":
		p.old()
		return
	}
	p.press(values, button)
}
