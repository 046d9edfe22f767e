package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var mailedLink = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+/link/[A-Za-z0-9_-]{43}`)

// link waits for the mail of a run, and returns the nth link that came.
func (w *world) link(n int) string {
	w.t.Helper()
	end := time.After(patience)
	for look := time.NewTicker(20 * time.Millisecond); ; {
		text, _ := os.ReadFile(filepath.Join(w.folder, "messages.txt"))
		if all := mailedLink.FindAllString(string(text), -1); len(all) >= n {
			return all[n-1]
		}
		select {
		case <-look.C:
		case <-end:
			w.t.Fatal("no link came")
		}
	}
}

const waits = `window.flow = new Flow(); await flow.start({ flow: "mailed", loginHint: "` + login + `" }); window.waited = outcome(() => flow.wait()); return {}`

// opened opens a link in another browser: it shares nothing with the app's.
func (w *world) opened(link string) (tab *world) {
	w.t.Helper()
	ctx, cancel := chromedp.NewContext(w.ctx, chromedp.WithNewBrowserContext())
	w.t.Cleanup(cancel)
	page, err := chromedp.Run(ctx, chromedp.NavigateResponse(link))
	must(w.t, err)
	if page.Status != 200 || page.Headers["Referrer-Policy"] != "no-referrer" {
		w.t.Fatalf("%d %v", page.Status, page.Headers)
	}
	return &world{t: w.t, ctx: ctx}
}

// A real browser opens a link that another browser's run has sent, under the
// page's policy and without a script; the app sees it while it waits, and the
// code of the page completes its run.
func TestLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(waits)
	other := w.opened(w.link(1))
	must(t, chromedp.Do(other.ctx, chromedp.Click("button[value=confirm]"), chromedp.WaitVisible("strong")))
	code, err := chromedp.Run(other.ctx, chromedp.Text("strong"))
	must(t, err)
	if r := w.do(`return await window.waited`); r.HTTP != 200 || r.Asks != "MAGIC_LINK_REQUIRED" || len(r.AMR) != 0 {
		t.Fatalf("%+v", r)
	}
	if r := w.do(`if (!flow.view.nextStep.data.confirmed) throw new Error(); return flow.answer({ code: "` + code + `" })`); r.Status != "completed" || !slices.Equal(r.AMR, []string{"otp", "urn:stile-auth:amr:email"}) {
		t.Errorf("%+v", r)
	}
	// The page is not kept, and the link is gone.
	must(t, chromedp.Do(other.ctx, chromedp.Navigate(w.link(1))))
	text, err := chromedp.Run(other.ctx, chromedp.Text("main"))
	if err != nil || !strings.Contains(text, "expired or was opened before") {
		t.Errorf("%q, %v", text, err)
	}
}

// Who did not ask for it says so, and the app that waits is told.
func TestLinkDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(waits)
	other := w.opened(w.link(1))
	must(t, chromedp.Do(other.ctx, chromedp.Click("button[value=deny]")))
	if r := w.do(`return await window.waited`); r.HTTP != 403 || r.Code != "access_denied" || r.Status != "failed" {
		t.Errorf("%+v", r)
	}
	if _, err := chromedp.Run(other.ctx, chromedp.Poll[bool](`document.forms.length === 0 && document.body.innerText.includes("Nobody gets in")`)); err != nil {
		t.Errorf("the page says something else: %v", err)
	}
}
