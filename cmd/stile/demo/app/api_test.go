package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

func TestCallAPI(t *testing.T) {
	t.Parallel()
	var got []http.Header
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Clone())
		if r.Header.Get("Authorization") == "" {
			w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			w.Header().Add("WWW-Authenticate", `Bearer realm="bank"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Header.Get("Authorization") == "DPoP the-token" && len(got) < 4 {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.Header().Set("DPoP-Nonce", "n1")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("open"))
	}))
	t.Cleanup(api.Close)
	a := newApp(t, newFake(t, threeSteps()...), withTOTP)
	address := api.URL + "/payments?page=2"

	status, challenge, _, err := a.CallAPI(t.Context(), address, "")
	if err != nil || status != 401 || challenge.Scheme != "Bearer" || challenge.Realm != "bank" || challenge.Error != "" || got[0]["Dpop"] != nil {
		t.Errorf("%d %+v %v", status, challenge, err)
	}
	status, _, body, err := a.CallAPI(t.Context(), address, "from-elsewhere")
	if err != nil || status != 200 || string(body) != "open" || got[1].Get("Authorization") != "Bearer from-elsewhere" || got[1]["Dpop"] != nil {
		t.Errorf("%d %s %v %v", status, body, err, got[1])
	}

	result, err := a.Run(t.Context(), app.StartOptions{Target: "payments"}) // its grant says: DPoP
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _, err = a.CallAPI(t.Context(), address, result.Token); err != nil || status != 200 || len(got) != 4 {
		t.Fatalf("%d %v after %d requests", status, err, len(got))
	}
	claims, _ := verify(t, got[3].Get("Dpop"), nil)
	if claims["htu"] != api.URL+"/payments" || claims["htm"] != "GET" || claims["ath"] == nil || claims["nonce"] != "n1" {
		t.Errorf("proof %v", claims)
	}
	if _, _, _, err := a.CallAPI(t.Context(), "http://payments.bank.example/", "token"); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("a token went over plain HTTP: %v", err)
	}
}

func TestUnauthorizedWithoutChallenge(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"", `Basic realm="x"`, `Bearer error=`} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set("WWW-Authenticate", header)
			}
			w.WriteHeader(http.StatusUnauthorized)
		}))
		t.Cleanup(api.Close)
		if _, _, _, err := newApp(t, newFake(t), nil).CallAPI(t.Context(), api.URL, ""); err == nil {
			t.Errorf("%q: accepted", header)
		}
	}
}

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	age := 300 * time.Second
	p := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	tests := map[string]struct {
		lines []string
		want  []app.Challenge
	}{
		"step up": {
			[]string{`Bearer realm="bank", error="insufficient_user_authentication", error_description="A stronger one.", acr_values="aal2 aal3", max_age="300"`},
			[]app.Challenge{{
				Scheme: "Bearer", Realm: "bank", Error: "insufficient_user_authentication", Description: "A stronger one.",
				ACRValues: []string{"aal2", "aal3"}, MaxAge: &age,
				Params: p("realm", "bank", "error", "insufficient_user_authentication", "error_description", "A stronger one.", "acr_values", "aal2 aal3", "max_age", "300"),
			}},
		},
		"tokens, spaces, cases": {
			[]string{"bearer  Error = invalid_token ,\tMAX_AGE=300"},
			[]app.Challenge{{Scheme: "bearer", Error: "invalid_token", MaxAge: &age, Params: p("error", "invalid_token", "max_age", "300")}},
		},
		"several in a line": {
			[]string{`Negotiate, Bearer realm="a, b", Basic realm="c\"d"`},
			[]app.Challenge{
				{Scheme: "Negotiate", Params: p()},
				{Scheme: "Bearer", Realm: "a, b", Params: p("realm", "a, b")},
				{Scheme: "Basic", Realm: `c"d`, Params: p("realm", `c"d`)},
			},
		},
		"several lines and empty elements": {
			[]string{` , Bearer,`, `,DPoP algs="ES256",,scope="x"`},
			[]app.Challenge{{Scheme: "Bearer", Params: p()}, {Scheme: "DPoP", Scope: "x", Params: p("algs", "ES256", "scope", "x")}},
		},
		"nothing":               {nil, nil},
		"empty":                 {[]string{" , "}, nil},
		"no scheme":             {[]string{`="x"`}, nil},
		"parameter twice":       {[]string{`Bearer error="a", Error="b"`}, nil},
		"open quote":            {[]string{`Bearer realm="x`}, nil},
		"ends in a backslash":   {[]string{`Bearer realm="x\`}, nil},
		"no value":              {[]string{`Bearer realm=`}, nil},
		"no comma":              {[]string{`Bearer realm="x" error="y"`}, nil},
		"token68":               {[]string{`Negotiate abc==`}, nil},
		"control character":     {[]string{"Bearer realm=\"a\x01b\""}, nil},
		"no space":              {[]string{`Bearer"x"`}, nil},
		"negative age":          {[]string{`Bearer max_age="-1"`}, nil},
		"signed age":            {[]string{`Bearer max_age="+1"`}, nil},
		"age with a fraction":   {[]string{`Bearer max_age=1.5`}, nil},
		"endless age":           {[]string{`Bearer max_age="99999999999999999999"`}, nil},
		"empty age":             {[]string{`Bearer max_age=""`}, nil},
		"two spaces in acr":     {[]string{`Bearer acr_values="a  b"`}, nil},
		"empty acr":             {[]string{`Bearer acr_values=""`}, nil},
		"quote in the error":    {[]string{`Bearer error="a\"b"`}, nil},
		"umlaut in description": {[]string{`Bearer error_description="ä"`}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := app.ParseChallenges(tc.lines)
			if (err == nil) != (tc.want != nil) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="bank", error="x", max_age=5, Basic a="b\"c"`)
	f.Add(`,, DPoP algs = "ES256"`)
	f.Fuzz(func(t *testing.T, line string) {
		got, err := app.ParseChallenges([]string{line})
		if err != nil {
			return
		}
		for _, c := range got {
			if c.Scheme == "" || strings.ContainsAny(c.Scheme, " ,=\"") || strings.ContainsAny(c.Error, "\"\\\n") {
				t.Errorf("%q became %+v", line, c)
			}
		}
	})
}
