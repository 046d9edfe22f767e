package external

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/propagation/rp"
)

// scenes are the story, in the order in which it is told.
func scenes() []scene {
	jane, ada, nobody := customer{name: "jane"}, customer{name: "ada"}, customer{name: "nobody"}
	ok, unauthorized := answer{status: http.StatusOK}, answer{status: http.StatusUnauthorized}
	forbidden := answer{status: http.StatusForbidden, code: "insufficient_scope"}
	refused := answer{status: http.StatusUnauthorized, code: "external_token_refused"}
	down := answer{status: http.StatusServiceUnavailable, code: "dependency_unavailable"}
	return []scene{
		{"nobody has signed in", []line{
			{"everyone reads the news", nobody.gets("/news"), ok},
			{"an app without a key asks for the prices", withKey("/prices", noKey), unauthorized},
			{"an app with a key that was made up", withKey("/prices", func(*shop) string { return "made-up" }), answer{status: 401, code: "invalid_api_key"}},
			{"any app with its key", withKey("/prices", func(s *shop) string { return s.appKey }), ok},
			{"the app's key is no administrator's", withKey("/stock", func(s *shop) string { return s.appKey }), forbidden},
			{"an administrator's tool with its own", withKey("/stock", func(s *shop) string { return s.clerk }), ok},
			{"a key stands for nobody: orders", withKey("/orders", func(s *shop) string { return s.clerk }), unauthorized},
			{"customers", nobody.gets("/customers"), unauthorized},
		}},
		{"Jane has signed on at the identity server, and her app has its token", []line{
			{"that token is none of the shop's", jane.presents, answer{status: 401, code: "invalid_token"}},
			{"Stile verifies it, asks what she may do, makes its own", jane.exchanges("shop"), ok},
			{"she reads her orders", jane.gets("/orders"), ok},
			{"she is no administrator", jane.gets("/customers"), forbidden},
		}},
		{"Ada is an administrator, and her app has an ID token with Stile's nonce", []line{
			{"Stile checks it by itself", ada.exchanges("office"), ok},
			{"she reads her orders", ada.gets("/orders"), ok},
			{"she reads the customers", ada.gets("/customers"), ok},
		}},
		{"the identity server does not vouch for the token", []line{
			{"it was made for a game on the same phone", nobody.brings("jane", game), refused},
			{"Jane's was used before", jane.again, refused},
			{"it was never issued", nobody.bringsText("made-up"), refused},
			{"and nothing was granted: orders", nobody.gets("/orders"), unauthorized},
		}},
		{"the identity server is down", []line{
			{"Stile cannot ask it", jane.whileDown(true), down},
			{"nothing was granted", nobody.gets("/orders"), unauthorized},
			{"what Jane has is good until it expires", jane.gets("/orders"), ok},
			{"it is back, and takes the very token", jane.whileDown(false), ok},
		}},
		{"the service that knows what people may do is down", []line{
			{"Stile knows who she is and grants nothing", jane.withoutRights, down},
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
	resp, err := (&http.Client{Transport: &app.Wire{Who: "app", Next: w.wire, Cut: w.opts.Cut}}).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answerOf(resp.StatusCode, body), nil
}

func answerOf(status int, body []byte) answer {
	var said struct{ Code, Content string }
	_ = json.Unmarshal(body, &said) // what cannot be read says nothing
	return answer{status: status, code: said.Code, more: said.Content}
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
			return answer{status: problem.Status, code: problem.Code}, nil
		}
		if err != nil {
			return answer{}, err
		}
		c.token = got.Token
		return answer{status: http.StatusOK, more: claims(got.Token)}, nil
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
