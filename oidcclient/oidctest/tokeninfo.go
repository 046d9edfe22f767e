package oidctest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
)

// TokenInfo is how a provider describes access tokens, which no standard says.
type TokenInfo struct {
	// Parameter of the query that holds the token.
	Parameter string `json:"parameter"`
	// AppToken wants a client's id, a bar and its secret as a bearer token.
	AppToken bool `json:"app_token"`
	// Good is the answer about a token that is good: strings may hold {client},
	// {subject} and {expires}; "{#expires}" is a number.
	Good map[string]any `json:"good"`
	// Bad is the answer about all others; nil: status 400.
	Bad map[string]any `json:"bad"`
}

func (p *Provider) tokenInfo(c *gin.Context) {
	noStore(c)
	info := p.cfg.TokenInfo
	if info.AppToken && !p.isAppToken(c.Request) {
		jsonError(c, invalidRequest("an app token is wanted"))
		return
	}
	t, ok := p.state.accessToken(c.Query(info.Parameter), p.cfg.Now())
	switch {
	case ok:
		c.JSON(http.StatusOK, filled(info.Good, strings.NewReplacer(
			"{client}", t.grant.client.ID, "{subject}", t.grant.user.Subject, "{expires}", strconv.FormatInt(t.expires.Unix(), 10))))
	case info.Bad != nil:
		c.JSON(http.StatusOK, info.Bad)
	default:
		jsonError(c, &oauthError{code: "invalid_token", description: "the access token is not valid"})
	}
}

// isAppToken says whether the request carries the token of a client.
func (p *Provider) isAppToken(r *http.Request) bool {
	scheme, text, problem := bearer(r)
	id, secret, _ := strings.Cut(text, "|")
	client := p.cfg.client(id)
	return problem == nil && strings.EqualFold(scheme, "Bearer") && client != nil && client.Secret != "" && client.Secret == secret
}
