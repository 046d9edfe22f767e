package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

const passwordSchema = `{"type":"object","properties":{"username":{"type":"string"},"password":{"type":"string"}},"required":["password"],"additionalProperties":false}`

func threeSteps() []prompt {
	return []prompt{
		{typ: "PASSWORD_REQUIRED", id: "password", data: map[string]any{"identifierRequired": true}, schema: passwordSchema},
		{typ: "PIN_REQUIRED", id: "pin"},
		{typ: "OTP_REQUIRED", id: "code", data: map[string]any{"digits": 6, "period": 30}},
	}
}

func withTOTP(c *app.Config) {
	c.User.TOTP = func(at time.Time) (string, error) { return fmt.Sprintf("%06d", at.Unix()/30%1000000), nil }
}

func TestRun(t *testing.T) {
	t.Parallel()
	f := newFake(t, threeSteps()...)
	age := 5 * time.Minute
	got, err := newApp(t, f, withTOTP).Run(t.Context(), app.StartOptions{
		Target: "payments", ACRValues: []string{"aal2"}, MaxAge: &age, Session: "old-session", LoginHint: "jane",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := app.Result{
		Token: "the-token", Scheme: "DPoP", Session: "the-session", ExpiresAt: now.Add(5 * time.Minute), SessionExpiresAt: now.Add(time.Hour),
		Steps: []string{"PASSWORD_REQUIRED", "PIN_REQUIRED", "OTP_REQUIRED"}, AMR: []string{"otp", "mfa"}, ACR: "aal2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The handle is replaced at the first proof and at completion.
	if diff := cmp.Diff([]string{"", "handle-0", "handle-1", "handle-1"}, f.handles); diff != "" {
		t.Error(diff)
	}
	start := map[string]any{
		"clientId": "bank-app", "target": "payments", "acrValues": []any{"aal2"}, "maxAge": 300.0, "session": "old-session", "loginHint": "jane",
	}
	if diff := cmp.Diff([]map[string]any{start}, f.starts); diff != "" {
		t.Error(diff)
	}
	bodies := []string{`{"password":"secret","username":"jane"}`, `{"pin":"12345678"}`, fmt.Sprintf(`{"code":"%06d"}`, now.Unix()/30%1000000)}
	if diff := cmp.Diff(bodies, f.bodies[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestUsernameOnlyWhereItIsAsked(t *testing.T) {
	t.Parallel()
	f := newFake(t, prompt{typ: "PASSWORD_REQUIRED", id: "password", data: map[string]any{"identifierRequired": false}, schema: passwordSchema})
	if _, err := newApp(t, f, nil).Run(t.Context(), app.StartOptions{Flow: "password"}); err != nil {
		t.Fatal(err)
	}
	if want := `{"password":"secret"}`; f.bodies[1] != want {
		t.Errorf("body %s, want %s", f.bodies[1], want)
	}
}

// TestEachHopCutOnce loses each request, and each answer, in turn: the run
// completes, no step happens twice, and the repeat is the same request with
// another proof (the fake checks both).
func TestEachHopCutOnce(t *testing.T) {
	t.Parallel()
	for hop := range 4 {
		for _, lost := range []string{"request", "answer"} {
			t.Run(fmt.Sprintf("%s %d", lost, hop), func(t *testing.T) {
				t.Parallel()
				f := newFake(t, threeSteps()...)
				seen := -1
				_, err := newApp(t, f, func(c *app.Config) {
					withTOTP(c)
					c.HTTPClient = &http.Client{Transport: &app.Wire{Cut: func(x app.Exchange) error {
						if (x.Status == 0) != (lost == "request") {
							return nil
						}
						if seen++; seen == hop {
							return errors.New("the connection is gone")
						}
						return nil
					}}}
				}).Run(t.Context(), app.StartOptions{Target: "payments"})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"password", "pin", "code"}, f.done); diff != "" {
					t.Error(diff)
				}
				want := 4
				if lost == "answer" {
					want = 5
				}
				if len(f.keys) != want || len(f.starts) != 1 {
					t.Errorf("%d requests, want %d; %d starts", len(f.keys), want, len(f.starts))
				}
			})
		}
	}
}

func TestConnectionThatStaysBroken(t *testing.T) {
	t.Parallel()
	f := newFake(t, threeSteps()...)
	gone, tries := errors.New("gone"), 0
	_, err := newApp(t, f, func(c *app.Config) {
		c.HTTPClient = &http.Client{Transport: &app.Wire{Cut: func(x app.Exchange) error {
			if strings.Contains(x.URL, "/pin") && x.Status == 0 {
				tries++
				return gone
			}
			return nil
		}}}
	}).Run(t.Context(), app.StartOptions{Target: "payments"})
	var at *app.StepError
	if !errors.As(err, &at) || at.Type != "PIN_REQUIRED" || at.StepID != "pin" || !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
}

// pauses makes an app that notes how long it waits and does not wait.
func pauses(into *[]time.Duration) func(*app.Config) {
	return func(c *app.Config) {
		withTOTP(c)
		clock := now
		totp := c.User.TOTP
		c.User.TOTP = func(time.Time) (string, error) { return totp(clock) }
		c.Wait = func(_ context.Context, d time.Duration) error {
			*into = append(*into, d)
			clock = clock.Add(d)
			return nil
		}
	}
}

func TestWrongCodeIsFollowedByTheNextOne(t *testing.T) {
	t.Parallel()
	var codes []any
	script := threeSteps()
	script[2].check = func(body map[string]any) (int, map[string]any) {
		if codes = append(codes, body["code"]); len(codes) == 1 {
			return 422, map[string]any{"code": "wrong_answer"}
		}
		return 200, nil
	}
	var waited []time.Duration
	f := newFake(t, script...)
	if _, err := newApp(t, f, pauses(&waited)).Run(t.Context(), app.StartOptions{Target: "payments"}); err != nil {
		t.Fatal(err)
	}
	step := now.Unix() / 30 % 1000000
	if diff := cmp.Diff([]any{fmt.Sprintf("%06d", step), fmt.Sprintf("%06d", step+1)}, codes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]time.Duration{20 * time.Second}, waited); diff != "" { // the clock stands at second 10
		t.Error(diff)
	}
	if f.keys[3] == f.keys[4] {
		t.Error("another answer has the same Idempotency-Key")
	}
}

func TestWrongAnswersEndTheRun(t *testing.T) {
	t.Parallel()
	for i, want := range []struct {
		typ   string
		tries int
	}{{"PASSWORD_REQUIRED", 1}, {"PIN_REQUIRED", 1}, {"OTP_REQUIRED", 2}} {
		t.Run(want.typ, func(t *testing.T) {
			t.Parallel()
			script, tries := threeSteps(), 0
			script[i].check = func(map[string]any) (int, map[string]any) {
				tries++
				return 422, map[string]any{"code": "wrong_answer", "attemptsRemaining": 2}
			}
			var waited []time.Duration
			_, err := newApp(t, newFake(t, script...), pauses(&waited)).Run(t.Context(), app.StartOptions{Target: "payments"})
			var at *app.StepError
			var p *app.ProblemError
			if !errors.As(err, &at) || at.Type != want.typ || !errors.As(err, &p) || p.Code != "wrong_answer" || *p.AttemptsRemaining != 2 {
				t.Errorf("got %v", err)
			}
			if tries != want.tries {
				t.Errorf("%d tries, want %d", tries, want.tries)
			}
		})
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		retryAfter float64
		times      int
		waits      []time.Duration
		fails      bool
	}{
		"once":      {1.5, 1, []time.Duration{1500 * time.Millisecond}, false},
		"for ever":  {2, 99, []time.Duration{2 * time.Second, 2 * time.Second, 2 * time.Second}, true},
		"too long":  {3600, 1, nil, true},
		"untold":    {0, 1, nil, true},
		"backwards": {-5, 1, nil, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, times := threeSteps(), 0
			script[1].check = func(map[string]any) (int, map[string]any) {
				if times++; times <= tc.times {
					return 429, map[string]any{"code": "throttled", "retryAfter": tc.retryAfter}
				}
				return 200, nil
			}
			var waited []time.Duration
			_, err := newApp(t, newFake(t, script...), pauses(&waited)).Run(t.Context(), app.StartOptions{Target: "payments"})
			if (err != nil) != tc.fails {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(tc.waits, waited); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInFlightIsWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFake(t, threeSteps()...)
	busy := 0
	var waited []time.Duration
	_, err := newApp(t, f, func(c *app.Config) {
		pauses(&waited)(c)
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if busy++; busy == 2 {
				return canned(409, "application/problem+json", `{"status":409,"code":"in_flight"}`), nil
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
	}).Run(t.Context(), app.StartOptions{Target: "payments"})
	if err != nil || len(waited) != 1 {
		t.Errorf("%v, waited %v", err, waited)
	}
}

func TestDPoPNonce(t *testing.T) {
	t.Parallel()
	f := newFake(t, threeSteps()...)
	f.nonce = "fresh"
	if _, err := newApp(t, f, withTOTP).Run(t.Context(), app.StartOptions{Target: "payments"}); err != nil {
		t.Error(err)
	}
}

func TestCancelledContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := newFake(t, threeSteps()...)
	if _, err := newApp(t, f, nil).Run(ctx, app.StartOptions{Target: "payments"}); !errors.Is(err, context.Canceled) || len(f.keys) != 0 {
		t.Errorf("got %v after %d requests", err, len(f.keys))
	}
}
