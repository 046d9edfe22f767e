package delivery

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// NewWriter returns a sender for development: it writes messages, codes and all,
// to a file or a console.
func NewWriter(to io.Writer) Sender { return &writer{to: to} }

type writer struct {
	mu sync.Mutex
	to io.Writer
}

// Send writes the message.
func (w *writer) Send(_ context.Context, m Mail) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := fmt.Fprintf(w.to, "To: %s\nSubject: %s\n\n%s\n", oneLine(m.To), oneLine(m.Subject), m.Text)
	return err
}
