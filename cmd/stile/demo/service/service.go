// Package service plays how a service without a user gets to the resources of another
// one, over HTTP, against a server as "stile serve" runs it.
//
// A shop has an API that knows nothing of tokens. A proxy in front of it asks Stile's
// gateway about each request; the gateway's configuration maps resources to scopes.
// Service accounts get tokens with their secret (client credentials, RFC 6749 §4.4). They stand
// in an LDAP directory, which checks the secret and says for which scopes each is good.
// Each line says how it has to be answered; anything else ends the story with an
// [story.Error].
package service

import (
	"context"

	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

type (
	scene  = story.Scene[*world]
	line   = story.Line[*world]
	answer = story.Answer
)

// Play plays the story.
func Play(ctx context.Context, opts story.Options) error {
	return story.Play(ctx, opts, open, scenes())
}
