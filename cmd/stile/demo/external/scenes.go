package external

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/propagation/rp"
)

// scenes are the story, in the order in which it is told.
func scenes() []scene {
	jane, ada, nobody := customer{name: "jane"}, customer{name: "ada"}, customer{name: "nobody"}
	ok, unauthorized := answer{Status: http.StatusOK}, answer{Status: http.StatusUnauthorized}
	forbidden := answer{Status: http.StatusForbidden, Code: "insufficient_scope"}
	refused := answer{Status: http.StatusUnauthorized, Code: "external_token_refused"}
	down := answer{Status: http.StatusServiceUnavailable, Code: "dependency_unavailable"}
	return []scene{
		{Title: "nobody has signed in", Lines: []line{
			{What: "everyone reads the news", Do: nobody.gets("/news"), Want: ok},
			{What: "an app without a key asks for the prices", Do: withKey("/prices", noKey), Want: unauthorized},
			{What: "an app with a key that was made up", Do: withKey("/prices", func(*shop) string { return "made-up" }), Want: answer{Status: 401, Code: "invalid_api_key"}},
			{What: "any app with its key", Do: withKey("/prices", func(s *shop) string { return s.appKey }), Want: ok},
			{What: "the app's key is no administrator's", Do: withKey("/stock", func(s *shop) string { return s.appKey }), Want: forbidden},
			{What: "an administrator's tool with its own", Do: withKey("/stock", func(s *shop) string { return s.clerk }), Want: ok},
			{What: "a key stands for nobody: orders", Do: withKey("/orders", func(s *shop) string { return s.clerk }), Want: unauthorized},
			{What: "customers", Do: nobody.gets("/customers"), Want: unauthorized},
		}},
		{Title: "Jane has signed on at the identity server, and her app has its token", Lines: []line{
			{What: "that token is none of the shop's", Do: jane.presents, Want: answer{Status: 401, Code: "invalid_token"}},
			{What: "Stile verifies it, asks what she may do, makes its own", Do: jane.exchanges("shop"), Want: ok},
			{What: "she reads her orders", Do: jane.gets("/orders"), Want: ok},
			{What: "she is no administrator", Do: jane.gets("/customers"), Want: forbidden},
		}},
		{Title: "Ada is an administrator, and her app has an ID token with Stile's nonce", Lines: []line{
			{What: "Stile checks it by itself", Do: ada.exchanges("office"), Want: ok},
			{What: "she reads her orders", Do: ada.gets("/orders"), Want: ok},
			{What: "she reads the customers", Do: ada.gets("/customers"), Want: ok},
		}},
		{Title: "the identity server does not vouch for the token", Lines: []line{
			{What: "it was made for a game on the same phone", Do: nobody.brings("jane", game), Want: refused},
			{What: "Jane's was used before", Do: jane.again, Want: refused},
			{What: "it was never issued", Do: nobody.bringsText("made-up"), Want: refused},
			{What: "and nothing was granted: orders", Do: nobody.gets("/orders"), Want: unauthorized},
		}},
		{Title: "the identity server is down", Lines: []line{
			{What: "Stile cannot ask it", Do: jane.whileDown(true), Want: down},
			{What: "nothing was granted", Do: nobody.gets("/orders"), Want: unauthorized},
			{What: "what Jane has is good until it expires", Do: jane.gets("/orders"), Want: ok},
			{What: "it is back, and takes the very token", Do: jane.whileDown(false), Want: ok},
		}},
		{Title: "the service that knows what people may do is down", Lines: []line{
			{What: "Stile knows who she is and grants nothing", Do: jane.withoutRights, Want: down},
		}},
	}
}

// customer is somebody with the app.
type customer struct {
	name   string
	app    *app.App
	access string // of the identity server
	token  string // Stile's
}

func noKey(*shop) string { return "" }

// withKey asks the shop as an app that has a key and no user.
func withKey(path string, key func(*shop) string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.shop.url+path, http.NoBody)
		if err != nil {
			return answer{}, err
		}
		if k := key(w.shop); k != "" {
			req.Header.Set(rp.HeaderAPIKey, k)
		}
		return w.send(req)
	}
}

// send sends a request without a proof of a phone.
func (w *world) send(req *http.Request) (answer, error) {
	said, err := w.Send(req)
	return answer{Status: said.Status, Code: said.Text("code"), More: said.Text("content")}, err
}

func answerOf(status int, body []byte) answer {
	var said struct{ Code, Content string }
	_ = json.Unmarshal(body, &said) // what cannot be read says nothing
	return answer{Status: status, Code: said.Code, More: said.Content}
}

// gets asks the shop with Stile's token, if there is one.
func (c *customer) gets(path string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		a, err := c.phone(w)
		if err != nil {
			return answer{}, err
		}
		status, _, body, err := a.CallAPI(ctx, w.shop.url+path, c.token)
		return answerOf(status, body), err
	}
}

func (c *customer) phone(w *world) (*app.App, error) {
	var err error
	if c.app == nil {
		c.app, err = w.phone(c.name, c.access)
	}
	return c.app, err
}

// presents shows the identity server's token to the shop, which knows only Stile's.
func (c *customer) presents(ctx context.Context, w *world) (answer, error) {
	tokens, err := w.signOn(c.name, shopPhone, "")
	if err != nil {
		return answer{}, err
	}
	c.access = tokens.Access
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.shop.url+"/orders", http.NoBody)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+tokens.ID)
	return w.send(req)
}

// exchanges runs the flow of a target, with what the app has.
func (c *customer) exchanges(target string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		a, err := c.phone(w)
		if err != nil {
			return answer{}, err
		}
		got, err := a.Run(ctx, app.StartOptions{Target: target})
		var problem *app.ProblemError
		if errors.As(err, &problem) {
			return answer{Status: problem.Status, Code: problem.Code}, nil
		}
		if err != nil {
			return answer{}, err
		}
		c.token = got.Token
		return answer{Status: http.StatusOK, More: claims(got.Token)}, nil
	}
}

// again brings the last token once more.
func (c *customer) again(ctx context.Context, w *world) (answer, error) {
	other := customer{name: c.name, access: c.access}
	return other.exchanges("shop")(ctx, w)
}

// brings runs the flow with a token that was issued to some app.
func (c *customer) brings(who, client string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		tokens, err := w.signOn(who, client, "")
		if err != nil {
			return answer{}, err
		}
		return c.bringsText(tokens.Access)(ctx, w)
	}
}

func (c *customer) bringsText(access string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		other := customer{name: "jane", access: access}
		got, err := other.exchanges("shop")(ctx, w)
		if c.token = other.token; err == nil && c.token != "" {
			err = errors.New("a token was granted")
		}
		return got, err
	}
}

// whileDown brings a token that the identity server cannot be asked about, and once it
// is back the same one.
func (c *customer) whileDown(down bool) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		if down {
			tokens, err := w.signOn(c.name, shopPhone, "")
			if err != nil {
				return answer{}, err
			}
			c.access = tokens.Access
			w.identity.Down()
		} else {
			w.identity.Up()
		}
		return c.again(ctx, w)
	}
}

// withoutRights brings a good token while nobody can say what its owner may do.
func (c *customer) withoutRights(ctx context.Context, w *world) (answer, error) {
	w.rights.down.Store(true)
	defer w.rights.down.Store(false)
	tokens, err := w.signOn(c.name, shopPhone, "")
	if err != nil {
		return answer{}, err
	}
	c.access = tokens.Access
	return c.again(ctx, w)
}

// claims is what the story shows of a token.
func claims(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	var c struct {
		Roles, Entitlements, AMR []string
		Sub, ACR                 string
		Issued                   int64 `json:"iat"`
		Expires                  int64 `json:"exp"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &c) != nil {
		return ""
	}
	return fmt.Sprintf("sub %.8s..., entitlements %s, roles %s, acr %s, amr %s, for %d s", c.Sub, strings.Join(c.Entitlements, " "), strings.Join(c.Roles, " "), c.ACR, strings.Join(c.AMR, " "), c.Expires-c.Issued)
}
