package e2e_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 as apps have it
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// look reads the page, unless it is the one that was answered before. Its faults are what
// keeps people from using it: things without names, errors that stand alone, little contrast,
// small targets, no heading, no language (WCAG 2.2: 1.1.1, 1.3.1, 1.4.3, 2.4.2, 2.4.6, 2.5.8, 3.1.1, 4.1.2).
const look = `(() => {
  if (window.answered || document.readyState !== "complete" || !document.querySelector("main[data-prompt]")) return null;
  const all = (s) => [...document.querySelectorAll(s)];
  const faults = [];
  const need = (ok, what) => { if (!ok) faults.push(what); };
  need(document.documentElement.lang, "no language");
  need(document.title.trim(), "no title");
  need(all("h1").length === 1 && all("main").length === 1, "not one heading in one main part");
  const ids = all("[id]").map((e) => e.id);
  need(new Set(ids).size === ids.length, "an id stands there twice");
  const fields = all("input:not([type=hidden])");
  for (const f of fields) need(f.labels.length > 0, "no label: " + f.name);
  for (const g of all("fieldset")) need(g.querySelector("legend")?.textContent.trim(), "no legend");
  for (const e of all("button, a")) need(e.textContent.trim(), "no text: " + e.outerHTML);
  for (const e of all("img")) need(e.alt, "no text for a picture");
  for (const e of all("[aria-describedby]")) need(document.getElementById(e.getAttribute("aria-describedby")), "a description that is not there");
  if (document.querySelector("[role=alert]")) for (const f of fields) need(f.closest("[aria-describedby=wrong]"), "an error that belongs to no field");
  need(all("[tabindex]").every((e) => e.tabIndex <= 0), "an order of its own");
  for (const e of all("button")) need(e.getBoundingClientRect().height >= 24, "a small button");
  const light = (c) => {
    const [r, g, b] = c.match(/[\d.]+/g).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (const e of all("h1, p, label, legend, a, button:enabled, li")) {
    let behind = e;
    while (behind && /, 0\)$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    const [a, b] = [light(getComputedStyle(e).color), behind ? light(getComputedStyle(behind).backgroundColor) : 1].sort();
    need((b + 0.05) / (a + 0.05) >= 4.5, "little contrast: " + e.outerHTML);
  }
  return {
    prompt: document.querySelector("main").dataset.prompt, wrong: document.querySelector("[role=alert]")?.textContent ?? "", faults,
    options: all("input[type=radio][name=select]").map((e) => e.value), fields: fields.map((e) => e.name),
    listed: document.querySelector("input[type=radio][name=authenticator]")?.value ?? "",
    others: all("button[name=_other]").map((e) => e.value), key: document.getElementById("key")?.textContent ?? "",
    codes: all("#codes code").map((e) => e.textContent), address: location.href,
  };
})()`

// press fills fields in and presses the Enter key on a button.
func (p *person) press(values map[string]string, button string) {
	p.t.Helper()
	text, err := json.Marshal(values)
	must(p.t, err)
	_, err = chromedp.Run(p.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
		window.answered = true;
		for (const [name, value] of Object.entries(%s)) {
			const field = document.getElementsByName(name)[0];
			if (field.type === "radio") document.getElementById(name + "-" + value).checked = true;
			else field.value = value;
		}
		document.querySelector(%q).focus();
		return true;
	})()`, text, button)))
	must(p.t, err)
	must(p.t, chromedp.Do(p.ctx, chromedp.KeyEvent("\r")))
}

// old waits for another page than this one.
func (p *person) old() {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`window.answered = true`))
	must(p.t, err)
}

// tab is a browser of its own: it shares nothing with others but the process.
func (w *world) tab(t *testing.T) *world {
	t.Helper()
	ctx, cancel := chromedp.NewContext(w.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	must(t, chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	tab := &world{t: t, ctx: ctx, folder: w.folder}
	tab.authenticator()
	return tab
}

var (
	codeIn = regexp.MustCompile(`\b([0-9]{6,8})\b`)
	linkIn = regexp.MustCompile(`(https://localhost:[0-9]+/link/[A-Za-z0-9_-]{43})`)
)

// message is what a pattern finds in the last message to this person.
func (p *person) message(what *regexp.Regexp) string {
	p.t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		text, _ := os.ReadFile(filepath.Join(p.folder, "messages.txt"))
		to := max(strings.LastIndex(string(text), p.login+"@"), strings.LastIndex(string(text), p.phone))
		if m := what.FindStringSubmatch(strings.TrimPrefix(string(text[max(to, 0):]), p.phone)); to >= 0 && m != nil {
			return m[1]
		}
		select {
		case <-tick.C:
		case <-end:
			p.t.Fatalf("no message came: %s", text)
		}
	}
}

// confirms opens the link that was mailed, elsewhere, and keeps the code that its page shows.
func (p *person) confirms() {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	must(p.t, err)
	elsewhere := &http.Client{Jar: jar, Transport: p.site.client.Transport}
	link := p.message(linkIn)
	read := func(r *http.Response, err error) string {
		must(p.t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		must(p.t, err)
		return html.UnescapeString(string(text))
	}
	token := regexp.MustCompile(`name="_token" value="([^"]+)"`).FindStringSubmatch(read(elsewhere.Get(link)))
	done := read(elsewhere.PostForm(link, url.Values{"_token": {token[1]}, "_answer": {"confirm"}}))
	p.code = regexp.MustCompile(`<strong>([0-9]+)</strong>`).FindStringSubmatch(done)[1]
}

// otp is the code of a counter (RFC 4226 §5.3).
func otp(t *testing.T, seed string, counter uint64) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(seed)
	must(t, err)
	mac := hmac.New(sha1.New, key)
	must(t, binary.Write(mac, binary.BigEndian, counter))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1000000)
}
