package service

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const maxBody = 64 << 10

// story is told in this order.
func story() []line {
	ok := answer{status: http.StatusOK}
	refused := func(status int, code string) answer { return answer{status: status, code: code} }
	return []line{
		{"everyone reads the news", call("GET", "/news", ""), ok},
		{"nobody reads the orders without a token", call("GET", "/orders", ""), refused(401, "")},
		{"reporting, with a wrong secret, gets no token", wrongly("reporting"), refused(401, "invalid_client")},
		{"reporting may not have orders.write", get("reporting", "shop", "orders.write"), refused(400, "invalid_scope")},
		{"reporting gets a token for the scope orders.read", get("reporting", "shop", "orders.read"), ok},
		{"reporting reads the orders", call("GET", "/orders", "reporting"), ok},
		{"reporting says that it is the warehouse", call("GET", "/orders", "reporting", "Stile-Subject"), refused(403, "access_denied")},
		{"reporting may not place an order", call("POST", "/orders", "reporting"), refused(403, "insufficient_scope")},
		{"not as a GET that is to be taken for a POST, either", call("GET", "/orders", "reporting", "X-HTTP-Method-Override"), refused(403, "access_denied")},
		{"not by way of the news, either", call("GET", "/news/%2e%2e/orders", ""), refused(403, "access_denied")},
		{"the warehouse may not have what its entry says and Stile does not allow", get("warehouse", "shop", "customers.read"), refused(400, "invalid_scope")},
		{"the warehouse gets a token for both scopes, one of them by its group", get("warehouse", "shop", "orders.read orders.write"), ok},
		{"the warehouse places an order", call("POST", "/orders", "warehouse"), ok},
		{"refunds are for people: a service has authenticated nobody", call("POST", "/refunds", "warehouse"), refused(401, "insufficient_user_authentication")},
		{"what the map does not name is nobody's", call("GET", "/customers", "warehouse"), refused(403, "access_denied")},
		{"reporting gets a token for the bank", get("reporting", "bank", "orders.read"), ok},
		{"that is none for the shop", call("GET", "/orders", "reporting"), refused(401, "invalid_token")},
		{"out of the group, the warehouse gets no token for orders.write", changed(writers, "member", "", get("warehouse", "shop", "orders.write")), refused(400, "invalid_scope")},
		{"reporting, which the directory has retired, gets no token", changed("cn=reporting,"+services, "l", "retired", get("reporting", "shop", "orders.read")), refused(401, "invalid_client")},
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
			return answer{status: status, code: body["error"]}, err
		}
		w.tokens[who] = body["access_token"]
		return answer{status: status, more: "scope " + body["scope"]}, nil
	}
}

func wrongly(who string) func(context.Context, *world) (answer, error) {
	return func(ctx context.Context, w *world) (answer, error) {
		status, body, err := w.token(ctx, who, "guessed", url.Values{"grant_type": {"client_credentials"}})
		return answer{status: status, code: body["error"]}, err
	}
}

func (w *world) token(ctx context.Context, who, secret string, form url.Values) (int, map[string]string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.node.URL()+"/oauth2/token", strings.NewReader(form.Encode()))
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
		r, err := http.NewRequestWithContext(ctx, method, w.proxy.url+path, http.NoBody)
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
		got := answer{status: status, code: body["code"]}
		if body["caller"] != "" {
			got.more = "the shop is told: " + body["caller"] + ", who may " + body["scope"]
		}
		return got, err
	}
}

// send sends a request, and returns the texts of the answer's object.
func (w *world) send(r *http.Request) (status int, texts map[string]string, err error) {
	resp, err := w.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var all map[string]any
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&all); err != nil {
		return resp.StatusCode, nil, err
	}
	texts = map[string]string{}
	for name, v := range all {
		if text, ok := v.(string); ok {
			texts[name] = text
		}
	}
	return resp.StatusCode, texts, nil
}

func copyBody(to io.Writer, from io.Reader) (int64, error) {
	return io.Copy(to, io.LimitReader(from, maxBody))
}
