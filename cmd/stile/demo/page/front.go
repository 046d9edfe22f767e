package page

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// send sends a request of the browser at the front, with its cookies, as one that a page of
// that site makes.
func (w *world) send(ctx context.Context, method, address, site string, more map[string]string) (story.Said, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return story.Said{}, err
	}
	r.Header.Set("Sec-Fetch-Site", site)
	for name, value := range more {
		r.Header.Set(name, value)
	}
	for name, value := range w.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // of a request
	}
	said, err := w.Send(r)
	for _, c := range (&http.Response{Header: said.Header}).Cookies() {
		if w.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(w.cookies, c.Name)
		}
	}
	return said, err
}

// asks is a request of a page of that site, which the browser sends with its cookies.
func asks(method, path, site string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		said, err := w.send(ctx, method, w.front+path, site, nil)
		if err != nil {
			return answer{}, err
		}
		if cookies := said.Text("cookies"); cookies != "" {
			return answer{}, fmt.Errorf("the API gets cookies: %s", cookies)
		}
		for name := range said.Object {
			if strings.Contains(name, "token") || strings.HasPrefix(said.Text(name), "ey") {
				return answer{}, fmt.Errorf("the script gets a token: %s", name)
			}
		}
		got := answer{Status: said.Status, Code: said.Text("code"), More: said.Text("content")}
		if sub := said.Text("sub"); sub != "" {
			got.More = fmt.Sprintf("sub %.8s..., acr %s, for %v s", sub, said.Text("acr"), said.Object["expires_in"])
		}
		return got, nil
	}
}

// signsInAtTheFront follows the browser from the page to Stile's and back.
func signsInAtTheFront(ctx context.Context, w *world) (answer, error) {
	opened := map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
	begun, err := w.send(ctx, http.MethodGet, w.front+"/bff/login?to=/basket", own, opened)
	if err != nil || begun.Status != http.StatusSeeOther {
		return answer{Status: begun.Status, Code: begun.Text("code")}, err
	}
	b, err := w.Browser(w.front)
	if err != nil {
		return answer{}, err
	}
	back, _, err := w.SignIn(ctx, b, w.jane, begun.Header.Get("Location"))
	if err != nil {
		return answer{}, err
	}
	said, err := w.send(ctx, http.MethodGet, back.String(), "cross-site", opened)
	return answer{Status: said.Status, Code: said.Text("code"), More: "back to " + said.Header.Get("Location")}, err
}
