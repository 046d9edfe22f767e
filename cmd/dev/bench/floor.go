package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/store/memory"
	"github.com/stile-auth/stile/flows/store/sqlite"
)

// Floor is the body of the process that the real server is compared with: the
// least that any server must do for the same conversation. For each of the
// three requests of a sign-in a bare gin handler decodes the body, makes the
// same number of single-row writes to the same store as the engine does, of the
// same size, through the same driver, pool, connections and durability, and
// encodes an answer of the same form and size; the last one signs one ES256
// token. It checks nothing, looks nothing up, and hashes nothing.
//
// All writes of one request are handed to the driver at once, so that it may
// put them into one transaction: that is as fast as the driver can be driven.
func Floor(ctx context.Context, in io.Reader, out io.Writer) error {
	var s setting
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return err
	}
	f, err := newFloor(ctx, s)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	routes, err := f.routes(ctx, s.Provider)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	people := make([]person, s.People)
	for i := range people {
		people[i] = person{Login: fmt.Sprintf("user%06d", i), Password: fmt.Sprintf("a long pass phrase %d", i), Seed: []byte("12345678901234567890")}
	}
	if err := json.NewEncoder(out).Encode(ready{URL: "http://" + l.Addr().String(), People: people}); err != nil {
		return err
	}
	return wait(ctx)
}

// Writes of one request, as the engine makes them: see the calls of its ports
// in flows (reserve, compare-and-swap, session, audit, reset) and of the
// account repository in the step.
const (
	writesOfStart    = 2 // run, audit
	writesOfPassword = 5 // reserve, authenticator last used, run, audit, reset
	writesOfCode     = 6 // reserve, authenticator, session, run, audit, reset
	smallRow         = 200
)

type floor struct {
	store flows.Recorder
	key   *ecdsa.PrivateKey
	jwks  []byte
	run   string // filler of the size of a run's row
	small string
}

func newFloor(ctx context.Context, s setting) (*floor, error) {
	f := &floor{run: strings.Repeat("x", s.RunBytes), small: strings.Repeat("x", smallRow)}
	var err error
	switch s.Store {
	case "memory":
		f.store = memory.New()
	case "sqlite":
		f.store, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(s.Folder, "floor.db"), Durability: s.Durability})
	default:
		err = errors.New("bench: unknown store " + s.Store)
	}
	if err != nil {
		return nil, err
	}
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	f.jwks, err = json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &f.key.PublicKey, KeyID: "floor", Algorithm: "ES256", Use: "sig"}}})
	return f, err
}

func (f *floor) routes(ctx context.Context, provider string) (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET("/.well-known/jwks.json", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", f.jwks) })
	r.GET("/metrics", gin.WrapH(promhttp.Handler()))
	if provider != "" {
		return r, f.addSSO(ctx, r, provider)
	}
	r.POST("/v1/flows", func(c *gin.Context) {
		var body struct{ ClientID, Target string }
		f.serve(c, &body, http.StatusCreated, writesOfStart, f.view("password", "PASSWORD_REQUIRED", 1))
	})
	r.POST("/v1/flow/steps/password", func(c *gin.Context) {
		var body struct{ Username, Password string }
		f.serve(c, &body, http.StatusOK, writesOfPassword, f.view("totp", "OTP_REQUIRED", 2))
	})
	r.POST("/v1/flow/steps/totp", func(c *gin.Context) {
		var body struct{ Code string }
		v := f.view("", "", 3)
		token, err := f.sign()
		if err != nil {
			c.AbortWithStatus(http.StatusInternalServerError)
			return
		}
		v.Result = &flows.Result{Session: flows.Secret(rand.Text()), Grant: &flows.Grant{Type: "bearer_jwt", Token: token}}
		f.serve(c, &body, http.StatusOK, writesOfCode, v)
	})
	return r, nil
}

func (f *floor) view(step, typ string, turn int) flows.View {
	v := flows.View{
		Flow:   flows.FlowView{ID: rand.Text(), Name: "password-totp", Status: flows.InProgress, Turn: turn, ExpiresAt: time.Now()},
		Handle: flows.Secret(rand.Text() + rand.Text()),
	}
	if step != "" {
		v.NextStep = &flows.NextStep{Type: typ, StepID: step, Data: map[string]int{"digits": 6}, Actions: []flows.Action{
			{Name: "submit", Method: "POST", Href: "/v1/flow/steps/" + step, Schema: json.RawMessage(`{"type":"object","properties":{"code":{"type":"string","minLength":6,"maxLength":8}},"required":["code"],"additionalProperties":false}`)},
			{Name: "cancel", Method: "DELETE", Href: "/v1/flow"},
		}}
	}
	return v
}

func (f *floor) serve(c *gin.Context, body any, status, writes int, v flows.View) {
	if err := json.NewDecoder(c.Request.Body).Decode(body); err != nil {
		c.AbortWithStatus(http.StatusBadRequest)
		return
	}
	rows := make([]flows.Event, writes)
	for i := range rows {
		rows[i] = flows.Event{ID: rand.Text(), Time: time.Now(), Type: "floor", Reason: f.small}
	}
	rows[0].Reason = f.run
	if err := f.store.Record(c.Request.Context(), rows...); err != nil {
		c.AbortWithStatus(http.StatusInternalServerError)
		return
	}
	c.JSON(status, v)
}

func (f *floor) sign() (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "http://127.0.0.1", "sub": rand.Text(), "aud": "https://ledger.bank.example", "client_id": "bench", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "auth_time": now.Unix(), "acr": "aal2", "amr": []string{"mfa", "otp", "pwd"}, "sid": rand.Text(),
	})
	t.Header["kid"], t.Header["typ"] = "floor", "at+jwt"
	return t.SignedString(f.key)
}
