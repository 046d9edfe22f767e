package tour

import (
	"context"

	"github.com/stile-auth/stile/cmd/stile/demo/story"
)

// PlayWrongly plays the tour with a chapter that expects of a run what it does not prove.
func PlayWrongly(ctx context.Context, opts story.Options) error {
	all := chapters()[:1]
	all[0].runs[1].amr = []string{"otp"}
	return play(ctx, opts, all)
}

// PlayLenient plays the tour with a chapter whose run has to be refused, and is not.
func PlayLenient(ctx context.Context, opts story.Options) error {
	all := chapters()[:1]
	all[0].runs[0].refused = "wrong_answer"
	return play(ctx, opts, all)
}

// PlayUntold plays the tour with a chapter whose owner expects a notice that nobody sends.
func PlayUntold(ctx context.Context, opts story.Options) error {
	all := chapters()[:1]
	all[0].told = []string{"authenticator_removed"}
	return play(ctx, opts, all)
}

// Codes are the first codes of a token with that seed.
func Codes(seed []byte, n int) []string {
	g := generator{seed: seed}
	var out []string
	for range n {
		out = append(out, g.press())
	}
	return out
}
