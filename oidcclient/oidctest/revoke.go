package oidctest

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// revoke is RFC 7009. The answer is 200 for every token, also for an unknown
// one and for another client's, which stays valid.
func (p *Provider) revoke(c *gin.Context) {
	in, client, problem := p.clientRequest(c)
	if problem == nil && in.get("token") == "" {
		problem = invalidRequest("token is missing")
	}
	if problem != nil {
		jsonError(c, problem)
		return
	}
	p.state.revoke(in.get("token"), client)
	noStore(c)
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
}
