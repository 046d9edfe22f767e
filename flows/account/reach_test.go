package account_test

import (
	"errors"
	"testing"

	"github.com/stile-auth/stile/flows/account"
)

// Only to the countries that are served, and never to a number that others earn by (T-46).
func TestReach(t *testing.T) {
	t.Parallel()
	home, err := account.NewReach([]string{"+41", "+1"}, []string{"+4179999"})
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]string{
		"+41791234567": "+41", "+12025550123": "+1", "+4179999123": "", "+41900123456": "", "+19005550123": "",
		"+491711234567": "", "+4234567890": "", "+97912345678": "", "+881612345678": "", "41791234567": "", "": "",
	} {
		if got, err := home.Country(number); got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, account.ErrReach) {
			t.Errorf("%s: %q, %v; want %q", number, got, err, want)
		}
	}
	for number, want := range map[string]string{"+4234567890": "+423", "+491711234567": "+49", "+74951234567": "+7", "+449012345678": "", "+97912345678": ""} {
		if got, _ := (account.Reach{}).Country(number); got != want {
			t.Errorf("everywhere: %s: %q, want %q", number, got, want)
		}
	}
	for _, bad := range []string{"41", "+", "+0", "+41 79", "Switzerland", "+4179", "+12"} {
		if _, err := account.NewReach([]string{bad}, nil); !errors.Is(err, account.ErrPhone) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
