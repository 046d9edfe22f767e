package account_test

import (
	"errors"
	"testing"

	"github.com/stile-auth/stile/flows/account"
)

func TestParsePhone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"+41791234567": "+41791234567", "+41 79 123 45 67": "+41791234567", "+1 (555) 010-9999": "+15550109999", "+49.30.1234567": "+49301234567",
		"+1234567": "+1234567", "+123456789012345": "+123456789012345",
	} {
		if got, err := account.ParsePhone(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "+", "0791234567", "41791234567", "0041791234567", "+041791234567", "+123456", "+1234567890123456", "+4179123456a", "+41791234567,+15550109999",
		"+41791234567;ext=1", "tel:+41791234567", "+41\n791234567", "+41 79 123 45 67                         ", "+４１７９１２３４５６７", "++41791234567",
	} {
		if got, err := account.ParsePhone(text); !errors.Is(err, account.ErrPhone) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	if got := account.MaskPhone("+41791234567"); got != "***67" {
		t.Errorf("masked: %s", got)
	}
	if got := account.MaskPhone("+"); got != "" {
		t.Errorf("masked nothing: %s", got)
	}
}
