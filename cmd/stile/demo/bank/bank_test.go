package bank_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo/bank"
)

const (
	invalidToken = `Bearer realm="bank", error="invalid_token", error_description="The token is not valid."`
	needs        = `, acr_values="aal2 aal3", max_age="300"`
	weak         = `Bearer realm="bank", error="insufficient_user_authentication", error_description="A stronger authentication is required."` + needs
	wrongMethod  = `Bearer realm="bank", error="insufficient_user_authentication", error_description="Another authentication method is required."` + needs
	old          = `Bearer realm="bank", error="insufficient_user_authentication", error_description="A more recent authentication is required."` + needs
)

func TestGoodTokenOpensTheResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.get("/payments", bearer(w.token(good())))
	if got.status != http.StatusOK || got.challenges != nil {
		t.Fatalf("got %+v", got)
	}
	var body struct {
		Resource, Subject, ACR string
		AMR                    []string
		Claims                 map[string]any
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatal(err)
	}
	if body.Resource != "/payments" || body.Subject != "jane" || body.ACR != "aal2" || body.Claims["sid"] != "s1" {
		t.Errorf("got %+v", body)
	}
	if diff := cmp.Diff([]string{"otp", "mfa"}, body.AMR); diff != "" {
		t.Error(diff)
	}
}

// TestChallenges compares what each bad token is answered, letter by letter.
func TestChallenges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	der, err := x509.MarshalPKIXPublicKey(&w.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	es256 := func(header map[string]any, c jwt.MapClaims) string {
		return sign(t, jwt.SigningMethodES256, w.key, header, c)
	}
	ago := func(d time.Duration) int64 { return now.Add(-d).Unix() }
	tests := map[string]struct{ token, want string }{
		"another audience":        {w.token(with("aud", "https://accounts.bank.example")), invalidToken},
		"no audience":             {w.token(with("aud", nil)), invalidToken},
		"another issuer":          {w.token(with("iss", "https://evil.example")), invalidToken},
		"expired":                 {w.token(with("exp", ago(time.Second))), invalidToken},
		"expires now":             {w.token(with("exp", now.Unix())), invalidToken},
		"without expiry":          {w.token(with("exp", nil)), invalidToken},
		"issued in the future":    {w.token(with("iat", ago(-2*time.Minute))), invalidToken},
		"without iat":             {w.token(with("iat", nil)), invalidToken},
		"without subject":         {w.token(with("sub", nil)), invalidToken},
		"without client":          {w.token(with("client_id", nil)), invalidToken},
		"without jti":             {w.token(with("jti", nil)), invalidToken},
		"bound in an unknown way": {w.token(with("cnf", map[string]string{"x5t#S256": "abc"})), invalidToken},
		"authenticated tomorrow":  {w.token(with("auth_time", ago(-24*time.Hour))), invalidToken},
		"another key":             {sign(t, jwt.SigningMethodES256, newKey(t), nil, good()), invalidToken},
		"alg none":                {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, good()), invalidToken},
		"HS256 with public key":   {sign(t, jwt.SigningMethodHS256, public, nil, good()), invalidToken},
		"type JWT":                {es256(map[string]any{"typ": "JWT"}, good()), invalidToken},
		"no type":                 {es256(map[string]any{"typ": nil}, good()), invalidToken},
		"no JWT":                  {"abc", invalidToken},
		"missing acr":             {w.token(with("acr", nil)), weak},
		"lower acr":               {w.token(with("acr", "aal1")), weak},
		"one factor":              {w.token(with("amr", []string{"otp"})), wrongMethod},
		"missing amr":             {w.token(with("amr", nil)), wrongMethod},
		"stale":                   {w.token(with("auth_time", ago(301*time.Second))), old},
		"missing auth_time":       {w.token(with("auth_time", nil)), old},
		"higher acr":              {w.token(with("acr", "aal3")), ""},
		"just fresh enough":       {w.token(with("auth_time", ago(300*time.Second))), ""},
		"long form of the type":   {es256(map[string]any{"typ": "application/AT+JWT"}, good()), ""},
		"two audiences":           {w.token(with("aud", []string{"https://other.example", audience})), ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := w.get("/payments", bearer(tc.token))
			if tc.want == "" {
				if got.status != http.StatusOK {
					t.Errorf("got %+v", got)
				}
				return
			}
			if diff := cmp.Diff([]string{tc.want}, got.challenges); diff != "" || got.status != http.StatusUnauthorized {
				t.Errorf("%d %s", got.status, diff)
			}
		})
	}
}

func TestRequestsWithoutOneGoodHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(good())
	none := []string{`Bearer realm="bank"`, `DPoP realm="bank", algs="ES256"`}
	bad := func(text string) []string {
		return []string{`Bearer realm="bank", error="invalid_request", error_description="` + text + `"`}
	}
	tests := map[string]struct {
		path    string
		headers http.Header
		status  int
		want    []string
	}{
		"nothing":         {"/payments", nil, 401, none},
		"another scheme":  {"/payments", http.Header{"Authorization": {"Basic amFuZTpqYW5l"}}, 401, none},
		"two headers":     {"/payments", http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, 400, bad("There is more than one Authorization header.")},
		"two tokens":      {"/payments", bearer(token + ", Bearer " + token), 400, bad("The Authorization header is malformed.")},
		"empty token":     {"/payments", http.Header{"Authorization": {"Bearer"}}, 400, bad("The Authorization header is malformed.")},
		"in the query":    {"/payments?access_token=" + token, nil, 400, bad("A token does not belong into the query.")},
		"in both":         {"/payments?access_token=" + token, bearer(token), 400, bad("A token does not belong into the query.")},
		"hidden in query": {"/payments?%61ccess_token=" + token, bearer(token), 400, bad("A token does not belong into the query.")},
		"other resource":  {"/accounts", bearer(token), 401, []string{invalidToken}},
		"unknown path":    {"/nothing", bearer(token), 404, nil},
		"lower case":      {"/payments", http.Header{"Authorization": {"bearer " + token}}, 200, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := w.get(tc.path, tc.headers)
			if diff := cmp.Diff(tc.want, got.challenges); diff != "" || got.status != tc.status {
				t.Errorf("%d, want %d: %s", got.status, tc.status, diff)
			}
			if got.status != 200 && (strings.Contains(got.body, token) || strings.Contains(got.body, "jane")) {
				t.Errorf("a refusal tells too much: %s", got.body)
			}
		})
	}
}

func TestIssuerOutOfReach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.jwks.Close()
	if got := w.get("/payments", bearer(w.token(good()))); got.status != http.StatusServiceUnavailable || got.challenges != nil {
		t.Errorf("got %+v", got)
	}
}

func TestNewRefusesMistakes(t *testing.T) {
	t.Parallel()
	fine := func() bank.Config {
		return bank.Config{Issuer: issuer, JWKSURL: "http://127.0.0.1/jwks", Now: time.Now, Resources: []bank.Resource{{Path: "/a", Audience: "x"}}}
	}
	tests := map[string]func(*bank.Config){
		"no clock":         func(c *bank.Config) { c.Now = nil },
		"no issuer":        func(c *bank.Config) { c.Issuer = "" },
		"no resources":     func(c *bank.Config) { c.Resources = nil },
		"quote in realm":   func(c *bank.Config) { c.Realm = `a"b` },
		"quote in acr":     func(c *bank.Config) { c.Resources[0].ACRValues = []string{`a"b`} },
		"space in acr":     func(c *bank.Config) { c.Resources[0].ACRValues = []string{"a b"} },
		"no audience":      func(c *bank.Config) { c.Resources[0].Audience = "" },
		"same path twice":  func(c *bank.Config) { c.Resources = append(c.Resources, c.Resources[0]) },
		"part of a second": func(c *bank.Config) { c.Resources[0].MaxAge = time.Millisecond },
	}
	if _, err := bank.New(fine()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fine()
			spoil(&c)
			if _, err := bank.New(c); err == nil {
				t.Error("accepted")
			}
		})
	}
	b, err := bank.New(fine())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start("0.0.0.0:0"); err == nil {
		_ = b.Close()
		t.Error("listens beyond loopback")
	}
}
