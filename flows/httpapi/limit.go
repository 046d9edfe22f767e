package httpapi

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"github.com/stile-auth/stile/flows"
)

// Limit bounds, per address, what costs something and needs no handle: starts,
// and requests that are refused or have a handle that is not right. An address
// that has used it up is answered 429 until it has been quiet. The zero value is no limit.
type Limit struct {
	PerSecond float64
	Burst     int
}

// maxAddresses bounds the memory of one generation of addresses.
const maxAddresses = 8192

// limiter counts by address, in this process. It forgets the addresses that
// have been quiet the longest.
type limiter struct {
	limit    Limit
	now      func() time.Time
	mu       sync.Mutex
	cur, old map[string]*rate.Limiter
}

func newLimiter(l Limit, now func() time.Time) *limiter {
	return &limiter{limit: l, now: now, cur: map[string]*rate.Limiter{}}
}

func (l *limiter) of(r *http.Request) *rate.Limiter {
	host := r.RemoteAddr
	if addr, ok := addressOf(r); ok {
		host = addr.String()
		if addr.Is6() { // who has one address has as many as they like
			host = netip.PrefixFrom(addr, network6).Masked().String()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.cur[host]
	if ok {
		return bucket
	}
	if bucket, ok = l.old[host]; !ok {
		bucket = rate.NewLimiter(rate.Limit(l.limit.PerSecond), l.limit.Burst)
	}
	if len(l.cur) >= maxAddresses {
		l.old, l.cur = l.cur, map[string]*rate.Limiter{}
	}
	l.cur[host] = bucket
	return bucket
}

// exhausted says that the caller has used up what it may; nil if not. It is not
// told to the audit trail: that would be what it is there to bound.
func (l *limiter) exhausted(r *http.Request) *failure {
	if l.limit.Burst <= 0 || l.of(r).TokensAt(l.now()) >= 1 {
		return nil
	}
	return &failure{
		status: http.StatusTooManyRequests, code: flows.CodeThrottled, detail: "Too many requests from this address.",
		retryAfter: time.Second,
	}
}

// spend takes one from what the caller may.
func (l *limiter) spend(r *http.Request) {
	if l.limit.Burst > 0 {
		l.of(r).AllowN(l.now(), 1)
	}
}

// limited is around every call of the flow API.
func (a *api) limited(next gin.HandlerFunc, start bool) gin.HandlerFunc {
	return func(c *gin.Context) {
		if f := a.limits.exhausted(c.Request); f != nil {
			a.fail(c, f)
			return
		}
		if start {
			a.limits.spend(c.Request)
		}
		next(c)
		switch c.Writer.Status() {
		case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
			a.limits.spend(c.Request)
		}
	}
}
