package service

import "context"

// PlayWrongly plays the story with another end of one line.
func PlayWrongly(ctx context.Context, opts Options) error {
	all := story()
	all[7].want = answer{status: 200}
	return play(ctx, opts, all)
}
