package ldappassword

import (
	"sync"
	"time"
)

// circuit keeps an outage from costing every request its time-out: after a few
// failures in a row nothing is tried for a while, then one request is.
type circuit struct {
	mu       sync.Mutex
	now      func() time.Time
	failures int
	until    time.Time // nothing is tried before
}

const (
	tolerated = 3
	resting   = 5 * time.Second
)

// allows says whether something may be tried. While it rests, one caller may for
// each period of rest.
func (c *circuit) allows() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < tolerated {
		return true
	}
	now := c.now()
	if now.Before(c.until) {
		return false
	}
	c.until = now.Add(resting)
	return true
}

// report notes what became of it.
func (c *circuit) report(worked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if worked {
		c.failures = 0
		return
	}
	if c.failures++; c.failures >= tolerated {
		c.until = c.now().Add(resting)
	}
}
