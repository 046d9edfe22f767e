package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo"
	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

func play(t *testing.T, opts demo.Options) (string, error) {
	t.Helper()
	var out bytes.Buffer
	opts.Out, opts.Now = &out, time.Now
	err := demo.Play(t.Context(), opts)
	return out.String(), err
}

// The seventeen steps, in order, as the story promises them.
func TestSeventeenSteps(t *testing.T) {
	t.Parallel()
	out, err := play(t, demo.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
	checkTitles(t, out, "access, refresh and ID token")
}

// checkTitles looks for the seventeen steps, the tokens of the fourteenth, and the happy end.
func checkTitles(t *testing.T, out, tokens string) {
	t.Helper()
	first, _, _ := strings.Cut(out, "Run 2.")
	var titles []string
	for _, m := range regexp.MustCompile(`(?m)^ *(\d+)\. (.*)$`).FindAllStringSubmatch(first, -1) {
		titles = append(titles, m[1]+" "+m[2])
	}
	want := []string{
		"1 the app calls the protected API", "2 the API refuses", "3 the app starts the flow of accounts",
		"4 the SSO step asks the OAuth 2.0 client for an authorization request",
		"5 the client delivers the authorization request to the step", "6 the app receives nextStep",
		"7 the app opens the system browser there", "8 the user logs in at the remote server and consents",
		"9 the server answers the browser with the authorization code", "10 the browser hands the response to the app",
		"11 the app forwards it to the SSO step", "12 the step forwards it to the client",
		"13 the client trades the code for tokens, with PKCE", "14 the remote server returns " + tokens,
		"15 the client reports success", "16 the flow is completed",
		"17 the app receives the propagated identity and calls the API again, with success",
	}
	if diff := cmp.Diff(want, titles); diff != "" {
		t.Error(diff)
	}
	if !strings.HasSuffix(out, "All four runs went as they should.\n") {
		t.Error("no happy end")
	}
}

type line struct {
	Run, Step int
	Title     string
	Lines     []string
	Claims    map[string]any
	OK        *bool
	Error     string
}

func lines(t *testing.T, out string) []line {
	t.Helper()
	var all []line
	for _, text := range strings.Split(strings.TrimSpace(out), "\n") {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, l)
	}
	return all
}

// Every run says in its token what really happened in it.
func TestTranscript(t *testing.T) {
	t.Parallel()
	for factor, acr := range map[string]string{"pin": "aal1", "biometric": "aal2"} {
		t.Run(factor, func(t *testing.T) {
			t.Parallel()
			out, err := play(t, demo.Options{JSON: true, Factor: factor})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			checkClaims(t, out, acr)
		})
	}
}

// checkClaims looks what the tokens of the four runs say, the third with that acr.
func checkClaims(t *testing.T, out, acr string) {
	t.Helper()
	claims := map[int]map[string]any{}
	for _, l := range lines(t, out) {
		if l.Claims != nil {
			claims[l.Run] = l.Claims
		}
	}
	for run, want := range map[int]struct{ acr, aud string }{
		1: {"aal1", "accounts"}, 2: {"aal2", "payments"}, 3: {acr, "balance"}, 4: {"aal2", "payments"},
	} {
		got := claims[run]
		if got["acr"] != want.acr || fmt.Sprint(got["aud"]) != "https://"+want.aud+".bank.example" && fmt.Sprint(got["aud"]) != "[https://"+want.aud+".bank.example]" {
			t.Errorf("run %d: acr %v aud %v", run, got["acr"], got["aud"])
		}
	}
	if claims[2]["branch"] != "Zurich" || claims[1]["branch"] != nil {
		t.Errorf("branch: %v, %v", claims[1]["branch"], claims[2]["branch"])
	}
	if claims[1]["sid"] != claims[2]["sid"] || claims[2]["sid"] == claims[3]["sid"] {
		t.Error("the second run goes on with the session of the first, the third has its own")
	}
}

// Nothing that was a secret on the wire stands whole in the transcript.
func TestNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		keepsSecrets(t, demo.Options{JSON: asJSON})
	}
}

// keepsSecrets plays the story, looks for secrets in the transcript, and returns that.
func keepsSecrets(t *testing.T, opts demo.Options) string {
	t.Helper()
	var mu sync.Mutex
	secrets := map[string]string{}
	note := func(name, value string) {
		if len(value) >= 6 {
			secrets[value] = name
		}
	}
	watch := func(x app.Exchange) error {
		mu.Lock()
		defer mu.Unlock()
		for _, scheme := range x.RequestHeader.Values("Authorization") {
			_, secret, _ := strings.Cut(scheme, " ")
			note("Authorization", secret)
		}
		for _, name := range []string{"Dpop", "Cookie"} {
			note(name, x.RequestHeader.Get(name))
		}
		if form, err := url.ParseQuery(string(x.RequestBody)); err == nil {
			for _, name := range []string{"password", "code", "code_verifier", "client_secret", "csrf"} {
				note(name, form.Get(name))
			}
		}
		for i, body := range [][]byte{x.RequestBody, x.ResponseBody} {
			var m map[string]any
			if json.Unmarshal(body, &m) != nil {
				continue
			}
			if i == 1 {
				delete(m, "code") // of a problem document
			}
			for _, name := range []string{"handle", "session", "pin", "code", "jws", "queryString", "access_token", "refresh_token", "id_token"} {
				text, _ := m[name].(string)
				note(name, text)
			}
			result, _ := m["result"].(map[string]any)
			session, _ := result["session"].(string)
			grant, _ := result["grant"].(map[string]any)
			token, _ := grant["token"].(string)
			note("session", session)
			note("token", token)
		}
		return nil
	}
	opts.Cut = watch
	out, err := play(t, opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(secrets) < 20 {
		t.Errorf("only %d secrets passed by", len(secrets))
	}
	for secret, name := range secrets {
		if len(secret) < 8 { // six digits may well be part of a number
			secret = "=" + secret
		}
		if strings.Contains(out, secret) {
			t.Errorf("%s is printed whole", name)
		}
	}
	return out
}

// hop is one exchange of the story.
type hop struct{ who, method, path string }

// Each hop is cut in turn, once on the way there and once on the way back, and for
// good: the demo ends with an error that names the step.
func TestEveryHopCut(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var hops []hop
	record := func(x app.Exchange) error {
		u, err := url.Parse(x.URL)
		if err != nil || x.Status != 0 {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		hops = append(hops, hop{x.Who, x.Method, u.Path})
		return nil
	}
	if out, err := play(t, demo.Options{Cut: record}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(hops) < 30 {
		t.Fatalf("the story has only %d exchanges", len(hops))
	}
	for i, h := range hops {
		for _, answer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%02d %s %s %s answer=%v", i+1, h.who, h.method, h.path, answer), func(t *testing.T) {
				t.Parallel()
				out, err := play(t, demo.Options{Cut: cutFrom(i+1, h, answer), JSON: true})
				var failed *demo.StepError
				if !errors.As(err, &failed) {
					t.Fatalf("got %v", err)
				}
				last := lines(t, out)
				end := last[len(last)-1]
				if end.OK == nil || *end.OK || end.Run != failed.Run || end.Step != failed.Step || end.Title == "" || end.Error == "" {
					t.Errorf("the transcript ends with %+v, the error is %v", end, err)
				}
				if done := stepsDone(last, failed.Run); done != failed.Step-1 {
					t.Errorf("%d steps of run %d were printed, and step %d failed", done, failed.Run, failed.Step)
				}
			})
		}
	}
}

// cutFrom cuts the n-th exchange and every later one that is the same hop: a repeat does not help.
func cutFrom(n int, h hop, answer bool) func(app.Exchange) error {
	var mu sync.Mutex
	count, reached := 0, false
	return func(x app.Exchange) error {
		mu.Lock()
		defer mu.Unlock()
		if x.Status == 0 {
			count++
		}
		reached = reached || count >= n
		u, err := url.Parse(x.URL)
		if err != nil {
			return err
		}
		if reached && (hop{x.Who, x.Method, u.Path}) == h && (x.Status != 0) == answer {
			return errors.New("the cable is cut")
		}
		return nil
	}
}

func stepsDone(all []line, run int) int {
	n := 0
	for _, l := range all {
		if l.Run == run && l.Step > 0 && l.OK == nil {
			n++
		}
	}
	return n
}

// signalling is a writer that cancels when it is told something.
type signalling struct {
	all    bytes.Buffer // not embedded: its WriteString would pass Write by
	until  string
	cancel context.CancelFunc
}

func (s *signalling) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.until) {
		s.cancel()
	}
	return s.all.Write(p)
}

// With Keep everything runs until the end is asked for; that is no failure.
func TestKeep(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &signalling{until: "one-time code until", cancel: cancel}
	if err := demo.Play(ctx, demo.Options{Out: out, Now: time.Now, Keep: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"curl -s http://127.0.0.1:", "login jane", "TOTP seed"} {
		if !strings.Contains(out.all.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// A pace changes when the lines come and nothing else, and an audience that leaves ends it.
func TestPace(t *testing.T) {
	t.Parallel()
	out, err := play(t, demo.Options{Pace: time.Millisecond, JSON: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	step, run := 0, 0
	for _, l := range lines(t, out) {
		switch {
		case l.Claims != nil || l.OK != nil:
		case l.Step == 0:
			run, step = l.Run, 0
		case l.Run != run || l.Step != step+1:
			t.Errorf("step %d of run %d comes after step %d of run %d", l.Step, l.Run, step, run)
		default:
			step++
		}
	}
	if run != 4 || step != 12 {
		t.Errorf("ends with step %d of run %d", step, run)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	if err := demo.Play(t.Context(), demo.Options{}); err == nil {
		t.Error("no error without Out and Now")
	}
	if _, err := play(t, demo.Options{Pace: time.Hour}); err == nil {
		t.Error("no error for a pace of an hour")
	}
}

// RFC 9470 from end to end: the challenge of the API is all that the app
// passes on, only what is missing is asked for, and what is out of reach is
// refused before anybody is asked for anything.
func TestStepUpStory(t *testing.T) {
	t.Parallel()
	out, err := play(t, demo.Options{Story: "step-up", JSON: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var claims []map[string]any
	steps := map[int]int{}
	for _, l := range lines(t, out) {
		if l.Claims != nil {
			claims = append(claims, l.Claims)
		}
		steps[l.Run] = max(steps[l.Run], l.Step)
	}
	if diff := cmp.Diff(map[int]int{0: 0, 1: 7, 2: 7, 3: 4}, steps); diff != "" {
		t.Error(diff)
	}
	if len(claims) != 2 || claims[0]["acr"] != "aal1" || claims[1]["acr"] != "aal2" || claims[0]["sid"] != claims[1]["sid"] {
		t.Errorf("claims %v", claims)
	}
	if claims[0]["auth_time"] != claims[1]["auth_time"] {
		t.Error("auth_time is not that of the oldest proof that the second token relies on")
	}
	if _, err := play(t, demo.Options{Story: "unheard"}); err == nil {
		t.Error("a story that nobody wrote was played")
	}
}
