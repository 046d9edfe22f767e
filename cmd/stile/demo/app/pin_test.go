package app_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stile-auth/stile/cmd/stile/demo/app"
)

// The PIN opens the key on the phone, and after ten wrong ones nothing does.
func TestPINOpensTheKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d, err := app.NewDevice(app.DeviceConfig{Now: func() time.Time { return now }, Biometrics: func() bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	p := app.Prompt{Challenge: "c", Audience: "a", Flow: "f", Step: "s", ExpiresAt: now.Add(time.Minute)}
	if _, err := d.AuthenticatePIN(p, "app", "271828"); !errors.Is(err, app.ErrNotEnrolled) {
		t.Errorf("before an enrolment: %v", err)
	}
	if _, err := d.EnrolPIN(p, "271828"); err != nil || d.PINAuthenticatorID() != "" {
		t.Errorf("an enrolment that nobody confirmed: %q %v", d.PINAuthenticatorID(), err)
	}
	d.ConfirmPIN()
	for i := range 9 {
		if _, err := d.AuthenticatePIN(p, "app", "314159"); !errors.Is(err, app.ErrPIN) {
			t.Errorf("wrong PIN %d: %v", i, err)
		}
	}
	if signed, err := d.AuthenticatePIN(p, "app", "271828"); err != nil || signed == "" {
		t.Errorf("the right PIN: %v", err)
	}
	for range 10 {
		_, err = d.AuthenticatePIN(p, "app", "314159")
	}
	if !errors.Is(err, app.ErrDestroyed) {
		t.Errorf("ten wrong PINs: %v", err)
	}
	if _, err := d.AuthenticatePIN(p, "app", "271828"); !errors.Is(err, app.ErrDestroyed) || d.PINAuthenticatorID() != "" {
		t.Errorf("the right PIN after that: %v", err)
	}
}
