package flows_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows"
)

type strictDoc struct {
	Code  string `json:"code"`
	N     int    `json:"n,omitempty"`
	Inner struct {
		Kid string `json:"kid"`
	} `json:"inner,omitzero"`
	List []string `json:"list,omitempty"`
}

func TestDecodeStrict(t *testing.T) { // standards finding 11; T-57, T-58, T-60
	t.Parallel()
	for _, good := range []string{`{"code":"1"}`, ` { "code" : "ü" , "n" : 2 } `, `{"inner":{"kid":"a"},"code":"","list":["a","a"]}`} {
		if err := flows.DecodeStrict([]byte(good), &strictDoc{}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for name, bad := range map[string]string{
		"empty":              ``,
		"not an object":      `[]`,
		"null":               `null`,
		"string":             `"code"`,
		"duplicate":          `{"code":"1","code":"2"}`,
		"duplicate inside":   `{"code":"1","inner":{"kid":"a","kid":"b"}}`,
		"duplicate in array": `{"code":"1","list":[{"a":1,"a":2}]}`,
		"case":               `{"code":"1","Code":"2"}`,
		"only case":          `{"Code":"1"}`,
		"kelvin sign":        `{"code":"1","inner":{"kid":"a","` + "\u212a" + `id":"b"}}`,
		"only kelvin":        `{"code":"1","inner":{"` + "\u212a" + `id":"b"}}`,
		"unknown":            `{"code":"1","loa":3}`,
		"unknown inside":     `{"code":"1","inner":{"kid":"a","x":1}}`,
		"missing":            `{}`,
		"missing inside":     `{"code":"1","inner":{}}`,
		"member null":        `{"code":null}`,
		"number for string":  `{"code":123456}`,
		"string for number":  `{"code":"1","n":"2"}`,
		"float for int":      `{"code":"1","n":1.5}`,
		"huge number":        `{"code":"1","n":1e400}`,
		"NaN":                `{"code":"1","n":NaN}`,
		"trailing":           `{"code":"1"}{"code":"2"}`,
		"trailing word":      `{"code":"1"} x`,
		"byte order mark":    "\ufeff" + `{"code":"1"}`,
		"not UTF-8":          "{\"code\":\"\xff\"}",
		"lone surrogate":     `{"code":"\ud800"}`,
		"lone low surrogate": `{"code":"a\udc00"}`,
		"unclosed":           `{"code":"1"`,
		"comment":            `{"code":"1"/**/}`,
		"deep":               `{"code":"1","list":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
		"deep objects":       strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40),
		"many keys":          `{"code":"1"` + manyKeys(300) + `}`,
	} {
		if err := flows.DecodeStrict([]byte(bad), &strictDoc{}); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "deep objects" && !strings.HasPrefix(name, "duplicate") && name != "case" && name != "trailing" {
			continue
		}
		if err := flows.CheckJSON([]byte(bad)); !errors.Is(err, flows.ErrMalformed) {
			t.Errorf("%s passes the check: %v", name, err)
		}
	}
	if err := flows.CheckJSON([]byte(strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32))); err != nil {
		t.Errorf("32 levels: %v", err)
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"k` + strings.Repeat("x", i) + `":1`)
	}
	return b.String()
}

func FuzzDecodeStrict(f *testing.F) {
	f.Add([]byte(`{"code":"1","inner":{"kid":"a"}}`))
	f.Add([]byte(`{"code":"1","code":"2"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var a, b strictDoc
		if flows.DecodeStrict(data, &a) == nil && flows.CheckJSON(data) != nil {
			t.Error("decoded what the check refuses")
		}
		if flows.DecodeStrict(data, &b) == nil && a.Code != b.Code {
			t.Error("two readings")
		}
	})
}
