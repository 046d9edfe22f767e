package devicejws_test

import (
	"errors"
	"testing"

	"github.com/stile-auth/stile/steps/devicejws"
)

// A signature over a transaction is good for that transaction alone, and one over
// none for none: neither stands for the other (what you see is what you sign).
func TestTransaction(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	key, _ := public(t, k)
	id := `"` + key.ID() + `"`
	header := object{"typ": `"devauth+jwt"`, "alg": `"ES256"`, "kid": id}
	payload := object{
		"aud": `"https://stile.example"`, "nonce": `"challenge"`, "flow": `"run-1"`, "step": `"phone"`, "iat": iat, "exp": exp,
		"iss": `"` + client + `"`, "sub": id,
	}
	for name, tt := range map[string]struct {
		wanted, signed string
		refused        error
	}{
		"none, and none was shown":    {"", "", nil},
		"the one that was shown":      {"hash", `"hash"`, nil},
		"another one":                 {"hash", `"hush"`, devicejws.WrongContext},
		"a part of it":                {"hash", `"has"`, devicejws.WrongContext},
		"none, where one was shown":   {"hash", "", devicejws.WrongContext},
		"one, where none was shown":   {"", `"hash"`, devicejws.WrongContext},
		"an empty one":                {"hash", `""`, devicejws.WrongContext},
		"an empty one, none is shown": {"", `""`, devicejws.WrongContext},
		"not a text":                  {"hash", "1", devicejws.Malformed},
		"null":                        {"", "null", devicejws.Malformed},
	} {
		a, err := devicejws.ParseAuthentication(sign(t, k, header.String(), payload.with("txn", tt.signed).String()))
		if err != nil {
			t.Fatal(err)
		}
		w := want
		w.Transaction = tt.wanted
		if err := a.Verify(key, client, w); !errors.Is(err, tt.refused) {
			t.Errorf("%s: got %v, want %v", name, err, tt.refused)
		}
	}
}
