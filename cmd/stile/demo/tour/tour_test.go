package tour_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
	"github.com/stile-auth/stile/cmd/stile/demo/story"
	"github.com/stile-auth/stile/cmd/stile/demo/tour"
)

// Every authenticator is bound and used over HTTP.
func TestTour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := tour.Play(t.Context(), story.Options{Out: &out, Now: time.Now, JSON: true}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var end struct {
		OK    bool
		Shown []string
		Rest  []string
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil || !end.OK {
		t.Fatalf("%v: %s", err, lines[len(lines)-1])
	}
	for _, typ := range []string{
		"password", "password_change", "totp", "totp_enrolment", "hotp", "hotp_enrolment", "email_code", "magic_link", "sms_code", "recovery_code",
		"recovery_code_setup", "activation_code", "passkey", "passkey_enrolment", "device_enrolment", "device_biometric",
		"device_pin", "device_pin_enrolment", "pin", "pin_enrolment", "terms", "consent", "message", "identify",
		"transaction_approval", "authenticator_removal", "ldap_password",
	} {
		if !slices.Contains(end.Shown, typ) {
			t.Errorf("%s is not shown", typ)
		}
	}
	t.Logf("not shown: %v", end.Rest)
}

// What goes wrong ends the tour and says where.
func TestTourFails(t *testing.T) {
	t.Parallel()
	lost := errors.New("the line is cut")
	for name, c := range map[string]struct {
		play func(context.Context, story.Options) error
		opts story.Options
		want string
	}{
		"another amr":   {tour.PlayWrongly, story.Options{}, "password: she changes it: it proved"},
		"no refusal":    {tour.PlayLenient, story.Options{}, "password: she types it: it completed, and had to be refused"},
		"no connection": {tour.Play, story.Options{Cut: func(app.Exchange) error { return lost }}, "password: she types it"},
		"a lost code": {tour.Play, story.Options{Cut: func(x app.Exchange) error {
			if strings.Contains(x.URL, "/v1/flow/steps/code") {
				return lost
			}
			return nil
		}}, "totp: she types what the app shows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c.opts.Out, c.opts.Now = &out, time.Now
			err := c.play(t.Context(), c.opts)
			var failed *story.Error
			if !errors.As(err, &failed) || !strings.HasPrefix(err.Error(), c.want) || !strings.Contains(out.String(), "failed: "+c.want) {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}

// An owner who is told nothing ends it too.
func TestTourWithoutNotice(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var out bytes.Buffer
	err := tour.PlayUntold(ctx, story.Options{Out: &out, Now: time.Now, Patience: 200 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "its owner is told") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// RFC 4226 appendix D: the token of the tour is a right one.
func TestToken(t *testing.T) {
	t.Parallel()
	want := []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}
	if diff := cmp.Diff(want, tour.Codes([]byte("12345678901234567890"), 10)); diff != "" {
		t.Error(diff)
	}
}
