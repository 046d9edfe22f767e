// Package catalog plays how an app of the house signs somebody in without a browser, over
// HTTP, against a server as "stile serve" runs it: what the password grant was for.
//
// The app draws the form itself, runs a flow, and has an access token in the completing
// answer, a JWT that the catalog's API guards with package rp. In the place of a refresh
// token it has the session. Each line says how it has to be answered; anything else ends the
// story with a [story.Error].
package catalog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
	"github.com/stile-auth/stile/propagation/rp"
)

//go:embed flows.yaml
var flowsYAML string

const audience = "https://catalog.example"

type (
	scene  = story.Scene[*world]
	line   = story.Line[*world]
	answer = story.Answer
)

// Play plays the story.
func Play(ctx context.Context, opts story.Options) error {
	return story.Play(ctx, opts, open, scenes())
}

// world is the catalog, and two phones with its app: Jane's, and one that has what hers had.
type world struct {
	*story.House
	jane    story.Person
	device  *app.Device
	thief   *app.Device
	catalog string
	secret  string // of an older app, which is a relying party
	got     app.Result
	app     *app.App // that has got it
}

func open(ctx context.Context, opts story.Options) (w *world, err error) {
	w = &world{secret: rand.Text() + rand.Text()}
	w.House, err = story.NewHouse(opts, "catalog")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("catalog: %w", err), w.Close())
		}
	}()
	if err != nil {
		return w, err
	}
	sum := sha256.Sum256([]byte(w.secret))
	err = w.Start(ctx, map[string]string{
		"flows/flows.yaml": strings.ReplaceAll(flowsYAML, "HASH", hex.EncodeToString(sum[:])),
		"stile.yaml":       "listen: 127.0.0.1:0\ndata_dir: data\ndefinitions: flows\n",
	})
	if err != nil {
		return w, err
	}
	if w.jane, err = w.Register(ctx, "jane"); err != nil {
		return w, err
	}
	for _, d := range []**app.Device{&w.device, &w.thief} {
		if *d, err = app.NewDevice(app.DeviceConfig{Now: opts.Now, Biometrics: func() bool { return true }}); err != nil {
			return w, err
		}
	}
	w.catalog, err = w.Guarded(ctx, audience, func(g *rp.Guard) http.Handler {
		return g.Require(rp.Rule{}, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			who, err := rp.From(r.Context())
			if err != nil {
				rp.Refuse(rw, err)
				return
			}
			rw.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(rw).Encode(map[string]string{"content": fmt.Sprintf("tea 4.50, for %.8s..., acr %s, amr %s", who.Subject, who.ACR, strings.Join(who.AMR, " "))})
		}))
	})
	return w, err
}

// Places implements [story.World].
func (w *world) Places() []story.Place {
	return []story.Place{{Name: "Stile", URL: w.Node.URL()}, {Name: "catalog", URL: w.catalog}}
}

// scenes are the story, in the order in which it is told.
func scenes() []scene {
	return []scene{
		{Title: "an older app collects the password, and would trade it", Lines: []line{
			{What: "grant_type=password", Do: passwordGrant, Want: answer{Status: 400, Code: "unsupported_grant_type"}},
		}},
		{Title: "the app runs the flow of the catalog", Lines: []line{
			{What: "without a token the catalog is shut", Do: reads((*world).own, func(*world) string { return "" }), Want: answer{Status: 401}},
			{What: "with a wrong password there is none", Do: signsInWith("guessed"), Want: answer{Status: 422, Code: "wrong_answer"}},
			{What: "Jane types her password, and the code that her account asks for", Do: signsIn, Want: answer{Status: 200}},
			{What: "the catalog opens", Do: reads((*world).own, token), Want: answer{Status: 200}},
		}},
		{Title: "the token is about to expire", Lines: []line{
			{What: "a run with the session asks nothing, and gives the next one", Do: again((*world).own), Want: answer{Status: 200}},
			{What: "the catalog opens with that", Do: reads((*world).own, token), Want: answer{Status: 200}},
		}},
		{Title: "somebody has copied both", Lines: []line{
			{What: "the token is bound to the key of Jane's phone", Do: reads((*world).stolen, token), Want: answer{Status: 401, Code: "invalid_token"}},
			{What: "and so is the session: everything is asked", Do: again((*world).stolen), Want: answer{Status: 422, Code: "wrong_answer"}},
		}},
	}
}

func (w *world) own() *app.Device    { return w.device }
func (w *world) stolen() *app.Device { return w.thief }

func token(w *world) string { return w.got.Token }

func passwordGrant(ctx context.Context, w *world) (answer, error) {
	form := url.Values{"grant_type": {"password"}, "username": {w.jane.Login}, "password": {w.jane.Password}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.Node.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("old-app", w.secret)
	said, err := w.Send(r)
	return answer{Status: said.Status, Code: said.Text("error"), More: said.Text("error_description")}, err
}

// phone is the app on a phone, whose owner knows that.
func (w *world) phone(device *app.Device, user app.User) (*app.App, error) {
	browser, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "nobody", Password: "nothing"}})
	if err != nil {
		return nil, err
	}
	return app.New(app.Config{
		StileURL: w.Node.URL(), ClientID: "catalog-app", RedirectURI: "com.shop.catalog:/oauth2", Device: device, Browser: browser, Now: w.Now, HTTPClient: w.Client(), User: user,
	})
}

func (w *world) run(ctx context.Context, device *app.Device, user app.User, session string) (answer, error) {
	a, err := w.phone(device, user)
	if err != nil {
		return answer{}, err
	}
	got, err := a.Run(ctx, app.StartOptions{Target: "catalog", Session: session})
	var problem *app.ProblemError
	if errors.As(err, &problem) {
		return answer{Status: problem.Status, Code: problem.Code}, nil
	}
	if err != nil {
		return answer{}, err
	}
	w.got, w.app = got, a
	asked := "nothing"
	if len(got.Steps) > 0 {
		asked = strings.Join(got.Steps, ", ")
	}
	return answer{Status: http.StatusOK, More: fmt.Sprintf("asked for %s; acr %s, amr %s", asked, got.ACR, strings.Join(got.AMR, " "))}, nil
}

func signsIn(ctx context.Context, w *world) (answer, error) {
	return w.run(ctx, w.device, app.User{Username: w.jane.Login, Password: w.jane.Password, TOTP: func(now time.Time) (string, error) { return w.jane.Code(now) }}, "")
}

func signsInWith(password string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		return w.run(ctx, w.device, app.User{Username: w.jane.Login, Password: password}, "")
	}
}

// again is a run with the session, of a phone whose owner knows nothing.
func again(device func(*world) *app.Device) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		return w.run(ctx, device(w), app.User{Username: w.jane.Login, Password: "does not know it"}, w.got.Session)
	}
}

// reads reads the catalog with a token, if there is one.
func reads(device func(*world) *app.Device, token func(*world) string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		a, err := w.phone(device(w), app.User{})
		if err != nil {
			return answer{}, err
		}
		if w.app != nil && device(w) == w.device {
			a = w.app // which knows how the token is presented
		}
		status, _, body, err := a.CallAPI(ctx, w.catalog+"/catalog", token(w))
		var said struct{ Code, Content string }
		_ = json.Unmarshal(body, &said) // what cannot be read says nothing
		return answer{Status: status, Code: said.Code, More: said.Content}, err
	}
}
