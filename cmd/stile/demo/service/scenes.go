package service

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// scenes are the story, in the order in which it is told.
func scenes() []scene {
	ok := answer{Status: http.StatusOK}
	refused := func(status int, code string) answer { return answer{Status: status, Code: code} }
	return []scene{
		{Title: "nobody shows a token", Lines: []line{
			{What: "everyone reads the news", Do: call("GET", "/news", ""), Want: ok},
			{What: "nobody reads the orders without a token", Do: call("GET", "/orders", ""), Want: refused(401, "")},
		}},
		{Title: "reporting has a secret, and may read", Lines: []line{
			{What: "reporting, with a wrong secret, gets no token", Do: wrongly("reporting"), Want: refused(401, "invalid_client")},
			{What: "reporting may not have orders.write", Do: get("reporting", "shop", "orders.write"), Want: refused(400, "invalid_scope")},
			{What: "reporting gets a token for the scope orders.read", Do: get("reporting", "shop", "orders.read"), Want: ok},
			{What: "reporting reads the orders", Do: call("GET", "/orders", "reporting"), Want: ok},
			{What: "reporting says that it is the warehouse", Do: call("GET", "/orders", "reporting", "Stile-Subject"), Want: refused(403, "access_denied")},
			{What: "reporting may not place an order", Do: call("POST", "/orders", "reporting"), Want: refused(403, "insufficient_scope")},
			{What: "not as a GET that is to be taken for a POST, either", Do: call("GET", "/orders", "reporting", "X-HTTP-Method-Override"), Want: refused(403, "access_denied")},
			{What: "not by way of the news, either", Do: call("GET", "/news/%2e%2e/orders", ""), Want: refused(403, "access_denied")},
		}},
		{Title: "the warehouse may write too", Lines: []line{
			{What: "the warehouse may not have what its entry says and Stile does not allow", Do: get("warehouse", "shop", "customers.read"), Want: refused(400, "invalid_scope")},
			{What: "the warehouse gets a token for both scopes, one of them by its group", Do: get("warehouse", "shop", "orders.read orders.write"), Want: ok},
			{What: "the warehouse places an order", Do: call("POST", "/orders", "warehouse"), Want: ok},
			{What: "refunds are for people: a service has authenticated nobody", Do: call("POST", "/refunds", "warehouse"), Want: refused(401, "insufficient_user_authentication")},
			{What: "what the map does not name is nobody's", Do: call("GET", "/customers", "warehouse"), Want: refused(403, "access_denied")},
		}},
		{Title: "a token is for one audience", Lines: []line{
			{What: "reporting gets a token for the bank", Do: get("reporting", "bank", "orders.read"), Want: ok},
			{What: "that is none for the shop", Do: call("GET", "/orders", "reporting"), Want: refused(401, "invalid_token")},
		}},
		{Title: "the directory says something else", Lines: []line{
			{What: "out of the group, the warehouse gets no token for orders.write", Do: changed(writers, "member", "", get("warehouse", "shop", "orders.write")), Want: refused(400, "invalid_scope")},
			{What: "reporting, which the directory has retired, gets no token", Do: changed("cn=reporting,"+services, "l", "retired", get("reporting", "shop", "orders.read")), Want: refused(401, "invalid_client")},
		}},
	}
}

// changed is what happens once the directory says something else of an entry.
func changed(dn, attribute, value string, then func(context.Context, *world) (answer, error)) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		w.staff.Set(dn, attribute, value)
		return then(ctx, w)
	}
}

// get gets a token for a service account, which keeps it if there is one.
func get(who, api, scope string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		status, body, err := w.token(ctx, who, w.secrets[who], url.Values{
			"grant_type": {"client_credentials"}, "resource": {"https://api." + api + ".example"}, "scope": {scope},
		})
		if err != nil || status != http.StatusOK {
			return answer{Status: status, Code: body["error"]}, err
		}
		w.tokens[who] = body["access_token"]
		return answer{Status: status, More: "scope " + body["scope"]}, nil
	}
}

func wrongly(who string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		status, body, err := w.token(ctx, who, "guessed", url.Values{"grant_type": {"client_credentials"}})
		return answer{Status: status, Code: body["error"]}, err
	}
}

func (w *world) token(ctx context.Context, who, secret string, form url.Values) (int, map[string]string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.Node.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(who, secret)
	return w.send(r)
}

// call calls the shop through the proxy, with the token of a service account, and a header
// with which it tries its luck.
func call(method, path, who string, lucky ...string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		r, err := http.NewRequestWithContext(ctx, method, w.proxy+path, http.NoBody)
		if err != nil {
			return answer{}, err
		}
		if who != "" {
			r.Header.Set("Authorization", "Bearer "+w.tokens[who])
		}
		for _, name := range lucky {
			r.Header.Set(name, "warehouse")
		}
		status, body, err := w.send(r)
		got := answer{Status: status, Code: body["code"]}
		if body["caller"] != "" {
			got.More = "the shop is told: " + body["caller"] + ", who may " + body["scope"]
		}
		return got, err
	}
}

// send sends a request, and returns the texts of the answer's object.
func (w *world) send(r *http.Request) (status int, texts map[string]string, err error) {
	said, err := w.Send(r)
	texts = map[string]string{}
	for name := range said.Object {
		texts[name] = said.Text(name)
	}
	return said.Status, texts, err
}
