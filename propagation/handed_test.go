package propagation_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/propagation"
)

// What stands in a header or a cookie is what an app would have got.
func TestHandedOnAlike(t *testing.T) {
	t.Parallel()
	b := newBearer(t, newSet(t))
	want := part(t, propagate(t, b, identity()).Token, 1)
	id := identity()
	id.Header, id.Cookie = "X-Identity", &flowdefs.Cookie{Name: "__Host-shop", Path: "/", Strict: true}
	header, err := propagation.Headers{BearerJWT: b}.Propagate(t.Context(), id)
	if err != nil || header.Type != "header" || header.Header != "X-Identity" || header.Scheme != "" {
		t.Fatalf("%+v, %v", header, err)
	}
	cookie, err := propagation.Cookies{BearerJWT: b}.Propagate(t.Context(), id)
	if err != nil || cookie.Type != "cookie" || cookie.Token != "" || cookie.Cookie == nil || !cookie.Cookie.Strict || !cookie.Expires.Equal(header.Expires) {
		t.Fatalf("%+v, %v", cookie, err)
	}
	for name, token := range map[string]string{"header": header.Token, "cookie": string(cookie.Cookie.Value)} {
		if head := part(t, token, 0); head["typ"] != "at+jwt" {
			t.Errorf("%s: %v", name, head)
		}
		got := part(t, token, 1)
		for claim := range want {
			if claim != "jti" && !same(got[claim], want[claim]) {
				t.Errorf("%s: %s is %v, want %v", name, claim, got[claim], want[claim])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A cookie that cannot be proved to be somebody's, or that browsers drop, is not made.
func TestNoSuchCookie(t *testing.T) {
	t.Parallel()
	c := propagation.Cookies{BearerJWT: newBearer(t, newSet(t))}
	for name, spoil := range map[string]func(*flows.Identity){
		"a key":     func(id *flows.Identity) { id.Key = strings.Repeat("A", 43) },
		"no cookie": func(id *flows.Identity) { id.Cookie = nil },
		"too long":  func(id *flows.Identity) { id.Claims = map[string]any{"all": strings.Repeat("x", 4096)} },
		"nobody":    func(id *flows.Identity) { id.Subject = "" },
	} {
		id := identity()
		id.Cookie = &flowdefs.Cookie{Name: "__Host-shop", Path: "/"}
		spoil(&id)
		if grant, err := c.Propagate(t.Context(), id); err == nil || grant.Cookie != nil {
			t.Errorf("%s: %+v, %v", name, grant, err)
		}
	}
	if _, err := propagation.Headers(c).Propagate(t.Context(), identity()); !errors.Is(err, propagation.ErrIncomplete) {
		t.Errorf("no header: %v", err)
	}
}

func same(a, b any) bool { return cmp.Equal(a, b) }
