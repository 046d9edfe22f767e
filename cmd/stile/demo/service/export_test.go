package service

import (
	"context"

	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// PlayWrongly plays the story with another end of one line.
func PlayWrongly(ctx context.Context, opts story.Options) error {
	all := scenes()
	all[1].Lines[5].Want = answer{Status: 200}
	return story.Play(ctx, opts, open, all)
}
