package demo_test

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stile-auth/stile/cmd/stile/demo"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// recorded plays the story and returns what passed: each exchange as it began and as it ended.
func recorded(t *testing.T) []app.Exchange {
	t.Helper()
	var mu sync.Mutex
	var all []app.Exchange
	if out, err := play(t, demo.Options{Cut: func(x app.Exchange) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, x)
		return nil
	}}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return all
}

// A step is a check: a story that is almost right fails at the step that is wrong.
func TestEveryStepChecks(t *testing.T) {
	t.Parallel()
	story := recorded(t)
	ends := func(x app.Exchange, path string) bool {
		u, err := url.Parse(x.URL)
		return err == nil && u.Path == path
	}
	spoil := func(x *app.Exchange, old, new string) {
		x.RequestBody = bytes.ReplaceAll(x.RequestBody, []byte(old), []byte(new))
		x.ResponseBody = bytes.ReplaceAll(x.ResponseBody, []byte(old), []byte(new))
	}
	for name, c := range map[string]struct {
		step   int
		change func(x *app.Exchange)
	}{
		"the API lets anybody in": {2, func(x *app.Exchange) {
			if ends(*x, "/accounts") && x.Status != 0 {
				x.Status = 200
			}
		}},
		"another target is started": {3, func(x *app.Exchange) { spoil(x, `"target":"accounts"`, `"target":"payments"`) }},
		"discovery has no endpoints": {4, func(x *app.Exchange) {
			if x.Who == "client" {
				spoil(x, `"token_endpoint"`, `"toke_endpoint"`)
			}
		}},
		"no PKCE":         {5, func(x *app.Exchange) { spoil(x, `"code_challenge":`, `"code_challenged":`) }},
		"plain PKCE":      {5, func(x *app.Exchange) { spoil(x, `"code_challenge_method":"S256"`, `"code_challenge_method":"plain"`) }},
		"no nonce":        {5, func(x *app.Exchange) { spoil(x, `"nonce":`, `"nounce":`) }},
		"another step":    {6, func(x *app.Exchange) { spoil(x, "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED", "PASSWORD_REQUIRED") }},
		"another request": {7, func(x *app.Exchange) { x.URL = changeState(x.URL) }},
		"no consent":      {8, func(x *app.Exchange) { x.Method = onlyLogin(x) }},
		"another state":   {9, func(x *app.Exchange) { location(x, "state=", "state=x") }},
		"another answer":  {10, func(x *app.Exchange) { spoil(x, `"queryString":"`, `"queryString":"x`) }},
		"another code": {12, func(x *app.Exchange) {
			if x.Who == "client" {
				spoil(x, "code=", "code=x")
			}
		}},
		"another verifier":   {13, func(x *app.Exchange) { spoil(x, "code_verifier=", "code_verifier=x") }},
		"no refresh token":   {14, func(x *app.Exchange) { spoil(x, `"refresh_token"`, `"refreshed_token"`) }},
		"no key was fetched": {15, func(x *app.Exchange) { x.URL = strings.Replace(x.URL, "/jwks", "/jokes", 1) }},
		"not completed":      {16, func(x *app.Exchange) { spoil(x, `"status":"completed"`, `"status":"in_progress"`) }},
		"another token":      {17, func(x *app.Exchange) { authorization(x) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := retold(story, demo.Seventeen(false), c.change)
			var failed *demo.StepError
			if !errors.As(err, &failed) || failed.Step != c.step {
				t.Errorf("want step %d, got %v", c.step, err)
			}
		})
	}
}

// retold plays what was recorded once more, changed.
func retold(story []app.Exchange, script *demo.Script, change func(*app.Exchange)) error {
	err := error(nil)
	for _, x := range story {
		x.RequestHeader, x.ResponseHeader = x.RequestHeader.Clone(), x.ResponseHeader.Clone()
		change(&x)
		if err = script.See(x); err != nil {
			break
		}
	}
	return errors.Join(err, script.End())
}

// Where refresh tokens are for offline_access only, there must be none, and everything else.
func TestOfflineOnlyChecks(t *testing.T) {
	t.Parallel()
	var story []app.Exchange
	for _, x := range recorded(t) {
		x.ResponseBody = bytes.ReplaceAll(x.ResponseBody, []byte(`"refresh_token"`), []byte(`"other_token"`))
		story = append(story, x)
		if strings.HasSuffix(x.URL, "/accounts") && x.Status == 200 {
			break // the end of the first run
		}
	}
	for name, c := range map[string]struct {
		step     int // 0: all is well
		old, new string
	}{
		"as it should be": {},
		"a refresh token": {14, `"other_token"`, `"refresh_token"`},
		"offline access":  {14, `"scope":"openid email"`, `"scope":"openid offline_access"`},
		"no access token": {14, `"access_token"`, `"accessed_token"`},
		"no ID token":     {14, `"id_token"`, `"idea_token"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := retold(story, demo.Seventeen(true), func(x *app.Exchange) {
				if c.old != "" {
					x.ResponseBody = bytes.ReplaceAll(x.ResponseBody, []byte(c.old), []byte(c.new))
				}
			})
			var failed *demo.StepError
			if errors.As(err, &failed) != (c.step > 0) || failed != nil && failed.Step != c.step {
				t.Errorf("want step %d, got %v", c.step, err)
			}
		})
	}
}

func changeState(address string) string {
	if strings.Contains(address, "/authorize?") {
		return strings.Replace(address, "state=", "state=x", 1)
	}
	return address
}

// onlyLogin makes the consent form look like a page that was only read.
func onlyLogin(x *app.Exchange) string {
	if strings.HasSuffix(x.URL, "/consent") {
		return "GET"
	}
	return x.Method
}

func location(x *app.Exchange, old, new string) {
	if at := x.ResponseHeader.Get("Location"); strings.HasPrefix(at, "com.bank.app") {
		x.ResponseHeader.Set("Location", strings.Replace(at, old, new, 1))
	}
}

func authorization(x *app.Exchange) {
	if strings.HasSuffix(x.URL, "/accounts") && x.RequestHeader.Get("Authorization") != "" {
		x.RequestHeader.Set("Authorization", "DPoP another")
	}
}
