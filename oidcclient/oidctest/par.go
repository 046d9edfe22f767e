package oidctest

import (
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
)

const (
	pushedTTL  = time.Minute
	pushedName = "urn:ietf:params:oauth:request_uri:"
)

// pushed is an authorization request that waits for its browser (RFC 9126).
type pushed struct {
	client  *Client
	values  url.Values
	expires time.Time
}

// push takes an authorization request from an authenticated client (RFC 9126 section 2).
func (p *Provider) push(c *gin.Context) {
	in, client, problem := p.clientRequest(c)
	if problem == nil && in.get("request_uri") != "" {
		problem = invalidRequest("request_uri is not a parameter of a pushed request")
	}
	if problem == nil {
		problem = p.checkPushed(in, client)
	}
	if problem != nil {
		jsonError(c, problem)
		return
	}
	values := url.Values{}
	for name := range in.values {
		if name != "client_secret" && name != "client_assertion" && name != "client_assertion_type" {
			values.Set(name, in.get(name))
		}
	}
	values.Set("client_id", client.ID)
	name := pushedName + newSecret()
	p.state.addPushed(name, pushed{client, values, p.cfg.Now().Add(pushedTTL)})
	noStore(c)
	c.JSON(http.StatusCreated, gin.H{"request_uri": name, "expires_in": int64(pushedTTL.Seconds())})
}

// checkPushed finds mistakes before a browser is involved.
func (p *Provider) checkPushed(in params, client *Client) *oauthError {
	if id := in.get("client_id"); id != "" && id != client.ID {
		return invalidRequest("client_id differs from who authenticates")
	}
	if !registered(client.RedirectURIs, in.get("redirect_uri")) {
		return invalidRequest("the redirect URI is not registered for this client")
	}
	req := authorizationRequest{client: client}
	return p.fill(&req, in)
}

// resolve puts a pushed request in the place of its name. The name is good once,
// and only for the client that pushed it.
func (p *Provider) resolve(in params) (params, *oauthError) {
	name := in.get("request_uri")
	if name == "" {
		if p.cfg.RequirePAR {
			return in, invalidRequest("requests have to be pushed")
		}
		return in, nil
	}
	if !p.cfg.PAR {
		return in, nil // refused as any request_uri, where it can be answered
	}
	found, ok := p.state.takePushed(name, p.cfg.Now())
	if !ok || found.client.ID != in.get("client_id") {
		return in, invalidRequest("the request_uri is unknown or used")
	}
	return params{found.values}, nil
}

// addPushed stores a pushed request.
func (s *state) addPushed(name string, q pushed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushed[name] = q
}

// takePushed ends a pushed request; only one caller gets it.
func (s *state) takePushed(name string, now time.Time) (pushed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.pushed[name]
	delete(s.pushed, name)
	return q, ok && now.Before(q.expires)
}

// takeOnce says whether nobody has taken that name before.
func (s *state) takeOnce(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.once[name] {
		return false
	}
	s.once[name] = true
	return true
}
