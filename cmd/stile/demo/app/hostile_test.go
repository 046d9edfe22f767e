package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// TestAnswersOfTheWrongShape spoils the answer to the first step.
func TestAnswersOfTheWrongShape(t *testing.T) {
	t.Parallel()
	step := func(v map[string]any) map[string]any { return v["nextStep"].(map[string]any) }
	tests := map[string]func(v map[string]any){
		"no flow":               func(v map[string]any) { delete(v, "flow") },
		"no next step":          func(v map[string]any) { delete(v, "nextStep") },
		"step and result":       func(v map[string]any) { v["result"] = map[string]any{"session": "s", "sessionExpiresAt": now} },
		"unknown status":        func(v map[string]any) { v["flow"].(map[string]any)["status"] = "done" },
		"failed, but 200":       func(v map[string]any) { v["flow"].(map[string]any)["status"] = "failed" },
		"completed, no result":  func(v map[string]any) { v["flow"].(map[string]any)["status"] = "completed" },
		"type without REQUIRED": func(v map[string]any) { step(v)["type"] = "PIN" },
		"no step id":            func(v map[string]any) { step(v)["stepId"] = "" },
		"no way on":             func(v map[string]any) { step(v)["actions"] = step(v)["actions"].([]any)[:2] },
		"action without href":   func(v map[string]any) { step(v)["actions"].([]any)[2].(map[string]any)["href"] = "" },
		"two ways on": func(v map[string]any) {
			a := step(v)["actions"].([]any)
			a[2].(map[string]any)["name"] = "this"
			step(v)["actions"] = append(a, map[string]any{"name": "that", "method": "POST", "href": "/v1/x"})
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, threeSteps()...)
			f.view = func(v map[string]any) {
				if f.at == 1 {
					spoil(v)
				}
			}
			_, err := newApp(t, f, withTOTP).Run(t.Context(), app.StartOptions{Target: "payments"})
			if err == nil || len(f.bodies) != 2 {
				t.Errorf("got %v after %d requests", err, len(f.bodies))
			}
		})
	}
}

func TestAnswersThatAreNoViews(t *testing.T) {
	t.Parallel()
	flow := `"flow":{"id":"r","status":"completed","expiresAt":"2026-05-04T12:00:00Z"},"assurance":{"acr":null,"amr":[]}`
	result := `"result":{"session":"s","sessionExpiresAt":"2026-05-04T12:00:00Z"}`
	tests := map[string]struct {
		status      int
		media, body string
		fine        bool
	}{
		"the smallest":     {201, "application/json", `{"handle":"h",` + flow + `,` + result + `}`, true},
		"no handle":        {201, "application/json", `{` + flow + `,` + result + `}`, false},
		"handle twice":     {201, "application/json", `{"handle":"h","handle":"i",` + flow + `,` + result + `}`, false},
		"another case":     {201, "application/json", `{"HANDLE":"h",` + flow + `,` + result + `}`, false},
		"no session":       {201, "application/json", `{"handle":"h",` + flow + `,"result":{}}`, false},
		"half a grant":     {201, "application/json", `{"handle":"h",` + flow + `,"result":{"session":"s","sessionExpiresAt":"2026-05-04T12:00:00Z","grant":{"type":"bearer_jwt"}}}`, false},
		"HTML":             {200, "text/html", `<p>Login</p>`, false},
		"not JSON":         {200, "application/json", `{`, false},
		"a redirect":       {302, "text/html", ``, false},
		"plain error":      {500, "text/plain", `oops`, false},
		"problem, no code": {400, "application/problem+json", `{"status":400}`, false},
		"problem lies":     {400, "application/problem+json", `{"status":200,"code":"x"}`, false},
		"nothing":          {204, "", ``, false},
		"endless":          {200, "application/json", strings.Repeat(" ", 1<<20+1), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			_, err := newApp(t, f, func(c *app.Config) {
				c.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
					return canned(tc.status, tc.media, tc.body), nil
				})}
			}).Run(t.Context(), app.StartOptions{Flow: "any"})
			if (err == nil) != tc.fine {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestHandleStaysWithTheServer: neither an href nor a redirect takes it, or
// the body, elsewhere.
func TestHandleStaysWithTheServer(t *testing.T) {
	t.Parallel()
	var visits []*http.Request
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { visits = append(visits, r) }))
	t.Cleanup(elsewhere.Close)

	for name, href := range map[string]string{"absolute": elsewhere.URL + "/v1/flow/steps/pin", "no scheme": strings.TrimPrefix(elsewhere.URL, "http:") + "/pin"} {
		f := newFake(t, prompt{typ: "PIN_REQUIRED", id: "pin", href: href})
		_, err := newApp(t, f, nil).Run(t.Context(), app.StartOptions{Target: "payments"})
		if err == nil || !strings.Contains(err.Error(), "leads away") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirecting.Close)
	f := newFake(t)
	f.url = redirecting.URL
	if _, err := newApp(t, f, nil).Run(t.Context(), app.StartOptions{Target: "payments", Session: "secret"}); err == nil {
		t.Error("followed a redirect")
	}
	if len(visits) > 0 {
		t.Errorf("somebody else was sent %v", visits)
	}
}

func TestBrowserIsNotOpenedForOthers(t *testing.T) {
	t.Parallel()
	opened := 0
	provider := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { opened++ }))
	t.Cleanup(provider.Close)
	tests := map[string]map[string]any{
		"other redirect URI": {"authorizationRequestUri": provider.URL, "redirectUri": "com.evil.app:/oauth2"},
		"expired":            {"authorizationRequestUri": provider.URL, "redirectUri": redirectURI, "expiresAt": now},
		"no address":         {"redirectUri": redirectURI},
		"file":               {"authorizationRequestUri": "file:///etc/passwd", "redirectUri": redirectURI},
		"plain http":         {"authorizationRequestUri": "http://idp.bank.example/authorize", "redirectUri": redirectURI},
	}
	for name, data := range tests {
		f := newFake(t, prompt{typ: "OAUTH2_CLIENT_AUTHORIZATION_REQUIRED", id: "queryString", data: data})
		if _, err := newApp(t, f, nil).Run(t.Context(), app.StartOptions{Target: "accounts"}); err == nil || len(f.bodies) != 1 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if opened != 0 {
		t.Errorf("the provider was visited %d times", opened)
	}
}

func TestNewRefusesMistakes(t *testing.T) {
	t.Parallel()
	browser, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "a", Password: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	fine := app.Config{
		StileURL: "https://id.bank.example", ClientID: "bank-app", RedirectURI: redirectURI, Browser: browser,
		Device: newDevice(t, func() bool { return true }), Now: time.Now,
	}
	if _, err := app.New(fine); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*app.Config){
		"plain http":  func(c *app.Config) { c.StileURL = "http://id.bank.example" },
		"no host":     func(c *app.Config) { c.StileURL = "https:///x" },
		"credentials": func(c *app.Config) { c.StileURL = "https://a:b@id.bank.example" },
		"no clock":    func(c *app.Config) { c.Now = nil },
		"no device":   func(c *app.Config) { c.Device = nil },
		"no browser":  func(c *app.Config) { c.Browser = nil },
		"no client":   func(c *app.Config) { c.ClientID = "" },
		"no redirect": func(c *app.Config) { c.RedirectURI = "" },
	} {
		c := fine
		spoil(&c)
		if _, err := app.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := app.NewDevice(app.DeviceConfig{Now: time.Now}); err == nil {
		t.Error("a device without biometrics")
	}
	if _, err := app.NewBrowser(app.BrowserConfig{}); err == nil {
		t.Error("a browser without a person")
	}
	a, err := app.New(fine)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []app.StartOptions{{}, {Flow: "a", Target: "b"}} {
		if _, err := a.Run(t.Context(), o); err == nil {
			t.Errorf("started %+v", o)
		}
	}
}
