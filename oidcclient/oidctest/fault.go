package oidctest

import "context"

// Fault is one way in which the provider misbehaves. Each hook that is set
// changes one stage of what it does; together they reach every byte of every
// answer. The functions of this package make the usual faults, and a test
// makes any other by setting hooks itself.
//
// Hooks run on the goroutines of requests, several at a time. They must
// return when the provider is closed, that is when their context ends.
type Fault struct {
	// Before runs when a request has come in whole and nothing was done with
	// it yet. It may block; if ctx ends in it, the connection is cut.
	Before func(ctx context.Context, endpoint string)
	// Answer changes a finished answer of an endpoint. It also runs for
	// requests that match no endpoint; the name is "" then.
	Answer func(endpoint string, a *Answer)
	// Redirect changes an authorization response, be it a code or an error.
	Redirect func(r *Redirect)

	// Claims changes the claims of an ID token.
	Claims func(claims map[string]any)
	// Header changes the JOSE header of an ID token.
	Header func(header map[string]any)
	// Raw replaces the JSON texts of header and claims, before they are
	// encoded and signed.
	Raw func(header, claims []byte) ([]byte, []byte)
	// Sign makes the signature of an ID token in place of the signing key. Of
	// several, the last counts.
	Sign func(input string, key Key) ([]byte, error)
	// Compact changes the finished ID token.
	Compact func(token string) string
}

// Misbehave adds a fault. It takes effect at once, for requests in progress
// at the next stage that they reach. Several faults act in the order in which
// they were added.
func (p *Provider) Misbehave(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A new slice, because eachFault may be reading the old one.
	p.faults = append(p.faults[:len(p.faults):len(p.faults)], f)
}

// Behave removes all faults and ends Down. A request that a fault holds at
// the moment is not let go by this: see Gate.
func (p *Provider) Behave() {
	p.Up()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

func (p *Provider) eachFault(do func(Fault)) {
	p.mu.Lock()
	faults := p.faults
	p.mu.Unlock()
	for _, f := range faults {
		do(f)
	}
}

func (p *Provider) hold(ctx context.Context, endpoint string) {
	p.eachFault(func(f Fault) {
		if f.Before != nil {
			f.Before(ctx, endpoint)
		}
	})
}

func (p *Provider) bendAnswer(endpoint string, a *Answer) {
	p.eachFault(func(f Fault) {
		if f.Answer != nil {
			f.Answer(endpoint, a)
		}
	})
}

func (p *Provider) bendRedirect(r *Redirect) {
	p.eachFault(func(f Fault) {
		if f.Redirect != nil {
			f.Redirect(r)
		}
	})
}
