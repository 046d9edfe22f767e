package propagation

import (
	"context"
	"fmt"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
)

// Headers makes the tokens of [BearerJWT] for a request header that a gateway looks at.
// It is safe for concurrent use.
type Headers struct{ *BearerJWT }

var _ flows.Propagator = Headers{}

// Propagate signs a token for one identity. What [BearerJWT.Propagate] refuses it
// refuses, and an identity without the name of a header. The header holds the token
// alone; "DPoP" as the scheme says that a proof goes with it.
func (h Headers) Propagate(ctx context.Context, id flows.Identity) (flows.Grant, error) {
	if id.Header == "" {
		return flows.Grant{}, fmt.Errorf("%w: no header", ErrIncomplete)
	}
	grant, err := h.BearerJWT.Propagate(ctx, id)
	if err != nil {
		return flows.Grant{}, err
	}
	grant.Type, grant.Header = flowdefs.HeaderJWT, id.Header
	if grant.Scheme == schemeBearer {
		grant.Scheme = ""
	}
	return grant, nil
}

// Cookies makes the tokens of [BearerJWT] for a cookie. It is safe for concurrent use.
type Cookies struct{ *BearerJWT }

var _ flows.Propagator = Cookies{}

// maxCookie bounds name and value together: what all browsers keep (RFC 6265 §6.1).
const maxCookie = 4096

// Propagate signs a token for one identity. What [BearerJWT.Propagate] refuses it
// refuses, and an identity with a key: nobody could prove it with a cookie. A token that is
// too long for a cookie is refused, since browsers drop such a cookie without a word.
func (c Cookies) Propagate(ctx context.Context, id flows.Identity) (flows.Grant, error) {
	if id.Cookie == nil || id.Key != "" {
		return flows.Grant{}, fmt.Errorf("%w: no cookie, or a key that a cookie cannot be bound to", ErrIncomplete)
	}
	grant, err := c.BearerJWT.Propagate(ctx, id)
	if err != nil {
		return flows.Grant{}, err
	}
	if n := len(id.Cookie.Name) + len(grant.Token); n > maxCookie {
		return flows.Grant{}, fmt.Errorf("propagation: the cookie %s would have %d bytes, and browsers keep %d: map fewer claims", id.Cookie.Name, n, maxCookie)
	}
	return flows.Grant{Type: flowdefs.CookieJWT, Expires: grant.Expires, Cookie: &flows.Cookie{
		Name: id.Cookie.Name, Domain: id.Cookie.Domain, Path: id.Cookie.Path, Strict: id.Cookie.Strict, Value: flows.Secret(grant.Token),
	}}, nil
}
