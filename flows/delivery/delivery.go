// Package delivery carries messages to people: the outbox of the engine, with
// senders for SMTP, for a web service, and for development.
//
// The engine lists a message in the run that sends it and hands it over after
// that change is stored; from the run it comes again after a crash. So the
// [Queue] holds nothing but what is under way: it sends, tries again until the
// message is of no more use, and takes a one-time mark for each, so that what
// several nodes were given is sent by one of them. A node that dies between
// sending and noting it may have a message sent twice, never not at all.
//
// Nothing here logs what a message says, or to whom.
package delivery

import (
	"context"
	"errors"
	"time"
)

// Mail is a message with its text.
type Mail struct {
	ID       string // the same if it is sent again
	Channel  string // "email" or "sms"
	To       string
	Template string
	Locale   string
	Subject  string
	Text     string
	Args     map[string]string
	Expires  time.Time
}

// Sender hands a mail to whoever carries it on. Safe for concurrent use. It
// returns when the mail was taken, not when it was read; an error that is
// [ErrRefused] is final, with any other the mail is sent again. Errors hold
// neither addresses nor texts.
type Sender interface {
	Send(ctx context.Context, m Mail) error
}

// ErrRefused reports a mail that nobody will ever take.
var ErrRefused = errors.New("delivery: refused")
