// Package page plays how an application in a browser gets to an API, over HTTP, against a
// server as "stile serve" runs it: first with tokens in its script, then without.
//
// Its script is played by a driver that says what a browser would say: the origin of the
// page, preflights, Fetch Metadata. What a browser would keep from the script, because no
// header allows it, counts as refused. Each line says how it has to be answered; anything
// else ends the story with a [story.Error].
package page

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

	"github.com/stile-auth/stile/cmd/stile/demo/story"
	"github.com/stile-auth/stile/propagation/rp"
)

//go:embed flows.yaml
var flowsYAML string

//go:embed stile.yaml
var stileYAML string

const (
	audience = "https://orders.example"
	// origin is where the page with tokens is loaded from. Nobody has to answer there: the
	// browser hands over what leads to it.
	origin    = "http://127.0.0.1:9"
	elsewhere = "http://127.0.0.1:7"
)

type (
	scene  = story.Scene[*world]
	line   = story.Line[*world]
	answer = story.Answer
)

// Play plays the story.
func Play(ctx context.Context, opts story.Options) error {
	return story.Play(ctx, opts, open, scenes())
}

// world is the page, its API, and the proxy before both.
type world struct {
	*story.House
	jane    story.Person
	api     string
	front   string
	access  string            // in the script's memory
	refresh string            // likewise
	former  string            // the refresh token before that one
	cookies map[string]string // of the browser at the front, which no script reads
}

func open(ctx context.Context, opts story.Options) (w *world, err error) {
	w = &world{cookies: map[string]string{}}
	w.House, err = story.NewHouse(opts, "page")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("page: %w", err), w.Close())
		}
	}()
	if err != nil {
		return w, err
	}
	front, at, err := w.Listen(ctx) // the gateway has to know by what name it is reached
	if err != nil {
		return w, err
	}
	w.front = at
	secret := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	names := strings.NewReplacer("ORIGIN", origin, "FRONT", at, "HASH", hex.EncodeToString(sum[:]))
	err = w.Start(ctx, map[string]string{"flows/flows.yaml": names.Replace(flowsYAML), "stile.yaml": names.Replace(stileYAML), "shop.secret": secret})
	if err != nil {
		return w, err
	}
	if w.jane, err = w.Register(ctx, "jane"); err != nil {
		return w, err
	}
	if w.api, err = w.Guarded(ctx, audience, orders); err != nil {
		return w, err
	}
	p, err := story.NewProxy("http://"+w.Node.GatewayAddr().String(), w.api, w.Wire)
	if err != nil {
		return w, err
	}
	w.Serve(front, p)
	return w, nil
}

// orders is the API: it verifies each token itself, also what the proxy hands on.
func orders(g *rp.Guard) http.Handler {
	return rp.CORS([]string{origin}, g.Require(rp.Rule{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := rp.From(r.Context())
		if err != nil {
			rp.Refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"content": fmt.Sprintf("tea, twice, for %.8s... by the client %s", who.Subject, who.Client), "cookies": r.Header.Get("Cookie"),
		})
	})))
}

// Places implements [story.World].
func (w *world) Places() []story.Place {
	return []story.Place{{Name: "Stile", URL: w.Node.URL()}, {Name: "gateway", URL: w.Node.GatewayAddr().String()}, {Name: "orders", URL: w.api}, {Name: "proxy", URL: w.front}}
}

// scenes are the story, in the order in which it is told.
func scenes() []scene {
	ok, grant := answer{Status: http.StatusOK}, answer{Status: http.StatusBadRequest, Code: "invalid_grant"}
	kept := answer{Status: http.StatusOK, Code: "kept_from_script"}
	return []scene{
		{Title: "a script with tokens signs Jane in", Lines: []line{
			{What: "without a token the orders are shut", Do: calls(origin), Want: answer{Status: 401}},
			{What: "code and PKCE: Jane types her password on Stile's page", Do: signsIn(origin), Want: ok},
			{What: "the orders open", Do: calls(origin), Want: ok},
			{What: "a script of another origin gets no tokens, not even for a good code", Do: signsIn(elsewhere), Want: kept},
			{What: "and with a token it reads no orders", Do: calls(elsewhere), Want: kept},
		}},
		{Title: "the access token is about to expire", Lines: []line{
			{What: "the refresh token is traded for new ones", Do: refreshes((*world).newest), Want: ok},
			{What: "the orders open", Do: calls(origin), Want: ok},
			{What: "somebody has copied the one before, and trades it", Do: refreshes((*world).before), Want: grant},
			{What: "of two that hold a token one is a thief: the new one is over too", Do: refreshes((*world).newest), Want: grant},
		}},
		{Title: "the same page without tokens: the gateway keeps them in a sealed cookie", Lines: []line{
			{What: "nobody is there", Do: asks("GET", "/bff/session", own), Want: answer{Status: 401, Code: "login_required"}},
			{What: "GET /bff/login: Jane types her password on Stile's page", Do: signsInAtTheFront, Want: answer{Status: http.StatusSeeOther}},
			{What: "the script is told who is there, and no token", Do: asks("GET", "/bff/session", own), Want: ok},
			{What: "it places an order; the API gets a token and no cookie", Do: asks("POST", "/orders", own), Want: ok},
			{What: "a page elsewhere has the browser place one, cookie and all", Do: asks("POST", "/orders", "cross-site"), Want: answer{Status: 403, Code: "access_denied"}},
			{What: "and would sign Jane out", Do: asks("POST", "/bff/logout", "cross-site"), Want: answer{Status: 403, Code: "access_denied"}},
			{What: "the gateway refreshes", Do: asks("POST", "/bff/refresh", own), Want: ok},
			{What: "and the order is placed again", Do: asks("POST", "/orders", own), Want: ok},
			{What: "Jane signs out", Do: asks("POST", "/bff/logout", own), Want: ok},
			{What: "the orders are shut", Do: asks("POST", "/orders", own), Want: answer{Status: 401}},
		}},
	}
}

// own is what a browser says of requests of the page itself.
const own = "same-origin"

func (w *world) newest() string { return w.refresh }
func (w *world) before() string { return w.former }

// fetch sends what a script of that origin sends, and says whether the script may read the
// answer (Fetch §3.2): a request with a header of its own is asked about before.
func (w *world) fetch(r *http.Request, from string) (story.Said, bool, error) {
	r.Header.Set("Origin", from)
	if r.Header.Get("Authorization") != "" {
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodOptions, r.URL.String(), http.NoBody) //nolint:gosec // the servers are the story's own
		if err != nil {
			return story.Said{}, false, err
		}
		ask.Header.Set("Origin", from)
		ask.Header.Set("Access-Control-Request-Method", r.Method)
		ask.Header.Set("Access-Control-Request-Headers", "authorization")
		said, err := w.Send(ask)
		if err != nil || !lets(said, from) || !strings.Contains(strings.ToLower(said.Header.Get("Access-Control-Allow-Headers")), "authorization") {
			return story.Said{Status: http.StatusOK}, false, err // the request itself is not sent
		}
	}
	said, err := w.Send(r)
	return said, lets(said, from), err
}

func lets(said story.Said, origin string) bool {
	return said.Header.Get("Access-Control-Allow-Origin") == origin
}

// told is an answer as the script has it.
func told(said story.Said, readable bool) answer {
	if !readable {
		return answer{Status: said.Status, Code: "kept_from_script"}
	}
	code := said.Text("error")
	if code == "" {
		code = said.Text("code")
	}
	return answer{Status: said.Status, Code: code, More: said.Text("content")}
}

// calls gets the orders with the token that the script has.
func calls(from string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api+"/orders", http.NoBody)
		if err != nil {
			return answer{}, err
		}
		if w.access != "" {
			r.Header.Set("Authorization", "Bearer "+w.access)
		}
		said, readable, err := w.fetch(r, from)
		return told(said, readable), err
	}
}

// signsIn goes to Stile's page and back, and trades the code in a script of that origin.
func signsIn(from string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		verifier, state := rand.Text()+rand.Text(), rand.Text()
		b, err := w.Browser(origin)
		if err != nil {
			return answer{}, err
		}
		back, _, err := w.SignIn(ctx, b, w.jane, w.Node.URL()+"/oauth2/authorize?"+url.Values{
			"response_type": {"code"}, "client_id": {"page"}, "redirect_uri": {origin + "/signed-in"}, "state": {state},
			"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
		}.Encode())
		if err != nil {
			return answer{}, err
		}
		if back.Query().Get("state") != state || back.Query().Get("iss") != w.Node.URL() {
			return answer{}, errors.New("an answer to another request")
		}
		return w.trade(ctx, from, url.Values{
			"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {origin + "/signed-in"}, "code_verifier": {verifier},
		})
	}
}

func refreshes(token func(*world) string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		return w.trade(ctx, origin, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token(w)}})
	}
}

// trade asks the token endpoint, and keeps what the script may read.
func (w *world) trade(ctx context.Context, from string, form url.Values) (answer, error) {
	form.Set("client_id", "page")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.Node.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	said, readable, err := w.fetch(r, from)
	if err == nil && readable && said.Status == http.StatusOK {
		w.access, w.former, w.refresh = said.Text("access_token"), w.refresh, said.Text("refresh_token")
	}
	return told(said, readable), err
}
