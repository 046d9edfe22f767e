// Package external plays how somebody comes with an identity of elsewhere and gets
// permissions of here, over HTTP, against a server as "stile serve" runs it.
//
// A phone has the token of an identity server that is none of ours. Stile asks that
// server whether it is good and for our app, asks the shop's own service what its owner
// may do, and makes a token of its own of both. The shop guards four kinds of resources
// with package rp: for everyone, for any app with its key, for who has signed in, and
// for administrators. Each scene says how it has to be answered; anything else ends the
// story with a [story.Error].
package external

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
