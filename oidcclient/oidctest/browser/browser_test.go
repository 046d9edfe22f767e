package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/oidcclient/oidctest/browser"
)

const pageText = `<!DOCTYPE html><title>x</title>
<form action="search"><input name="q" value="was"><input type="submit" value="Search"></form>
<form method="post" action="/save?x=1">
<input type="hidden" name="token" value="t"><input name="name">
<input type="checkbox" name="off" value="1"><input type="checkbox" name="on" value="1" checked>
<button type="button">Preview</button><button name="do" value="save"> Save it </button>
</form>`

// site shows a page with two forms and echoes what they send.
func site(t *testing.T) (string, *browser.Browser) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/dir/page", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v", Path: "/"})
		fmt.Fprint(w, pageText)
	})
	echo := func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		cookie, _ := r.Cookie("c")
		fmt.Fprintf(w, "%s %s %s %s %v", r.Method, r.URL.Path, r.URL.RawQuery, r.PostForm.Encode(), cookie)
	}
	mux.HandleFunc("/dir/search", echo)
	mux.HandleFunc("/save", echo)
	for code := range map[int]bool{302: true, 303: true, 307: true} {
		mux.HandleFunc(fmt.Sprintf("/go/%d", code), func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Query().Get("to"), code)
		})
	}
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b, err := browser.New(browser.Config{
		Transport: server.Client().Transport,
		Claimed:   func(u *url.URL) bool { return u.Host == "app.example" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return server.URL, b
}

func open(t *testing.T, b *browser.Browser, address string) *browser.Page {
	t.Helper()
	page, err := b.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestForms(t *testing.T) {
	t.Parallel()
	base, b := site(t)
	page := open(t, b, base+"/dir/page")
	for _, c := range []struct {
		button string
		values map[string]string
		want   string
	}{
		{"Search", map[string]string{"q": "now"}, "GET /dir/search q=now  c=v"},
		{"Save it", map[string]string{"name": "Ann"}, "POST /save x=1 do=save&name=Ann&on=1&token=t c=v"},
	} {
		next, err := page.Submit(t.Context(), c.button, c.values)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, string(next.Body)); diff != "" {
			t.Errorf("%s: %s", c.button, diff)
		}
	}
}

// What a person could not do fails.
func TestImpossibleInput(t *testing.T) {
	t.Parallel()
	base, b := site(t)
	page := open(t, b, base+"/dir/page")
	for name, c := range map[string]struct {
		button string
		values map[string]string
	}{
		"no such button": {"Delete", nil},
		"not a sender":   {"Preview", nil},
		"no such field":  {"Search", map[string]string{"name": "x"}},
		"hidden field":   {"Save it", map[string]string{"token": "x"}},
	} {
		if _, err := page.Submit(t.Context(), c.button, c.values); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := page.Form("nothing"); err == nil {
		t.Error("a form without fields")
	}
	if f, err := page.Form("token"); err != nil || f.Types["token"] != "hidden" {
		t.Errorf("form %+v, %v", f, err)
	}
}

func TestHandsOver(t *testing.T) {
	t.Parallel()
	base, b := site(t)
	for _, target := range []string{"com.example.app:/oauth2?code=x", "https://app.example/cb?code=x"} {
		page := open(t, b, base+"/go/302?to="+url.QueryEscape(target))
		if page.Handed == nil || page.Handed.String() != target {
			t.Errorf("handed %v, want %s", page.Handed, target)
		}
	}
	page := open(t, b, base+"/go/303?to=/dir/page")
	if page.Handed != nil || len(page.Forms) != 2 || !strings.HasSuffix(page.URL.Path, "/dir/page") {
		t.Errorf("page %v with %d forms", page.URL, len(page.Forms))
	}
}

func TestRedirectLoopEnds(t *testing.T) {
	t.Parallel()
	base, b := site(t)
	if _, err := b.Open(t.Context(), base+"/loop"); err == nil {
		t.Error("a loop without end")
	}
}
