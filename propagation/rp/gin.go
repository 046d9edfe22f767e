package rp

import "github.com/gin-gonic/gin"

// Gin is [Guard.Require] as a middleware of gin. A rule that cannot be said in a
// challenge panics.
func (g *Guard) Gin(rule Rule) gin.HandlerFunc {
	rule.must()
	return func(c *gin.Context) {
		token, err := g.Check(c.Request, rule)
		if err != nil {
			Refuse(c.Writer, err)
			c.Abort()
			return
		}
		c.Request = c.Request.WithContext(With(c.Request.Context(), token))
		c.Next()
	}
}
