package steptest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stile-auth/stile/flows"
)

// shortest is the length from which an argument of a message is taken for a secret.
const shortest = 6

// sends holds what is sent against the type: once when it is entered, or never;
// of no use after a while; not in the prompt; and for an unknown account to nobody.
func sends(ctx context.Context, c Case) error {
	b, err := setUp(c)
	if err != nil {
		return err
	}
	v := b.visit("run-1")
	data, err := b.enter(ctx, v)
	if err != nil {
		return err
	}
	want := 0
	if c.Type.Sends {
		want = 1
	}
	if n := len(v.Sent()); n != want {
		return fmt.Errorf("%d messages were sent, want %d", n, want)
	}
	for _, m := range v.Sent() {
		if m.To == "" || !m.Expires.After(v.Now) {
			return errors.New("a message to nobody, or of no use")
		}
		for name, value := range m.Args {
			if len(value) >= shortest && strings.Contains(string(data), value) {
				return fmt.Errorf("what was sent is in the prompt: %s", name)
			}
		}
	}
	if c.NeedsSubject {
		return nil
	}
	nobody := b.Visit
	nobody.Subject, nobody.Claimed, nobody.Identifier = "", "", "nobody"
	stranger := flows.NewVisit(nobody, "owner", b.marks)
	if _, err := b.enter(ctx, stranger); err != nil {
		return err
	}
	for _, m := range stranger.Sent() {
		if m.To != "" {
			return errors.New("an unknown account is written to")
		}
	}
	if len(stranger.Sent()) != want {
		return errors.New("for an unknown account another number of messages is counted")
	}
	return nil
}
