package tour

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// mailbox takes the messages of the server, as a gateway would.
type mailbox struct {
	server   *http.Server
	url      string
	patience time.Duration

	mu  sync.Mutex
	got []received
	new chan struct{} // closed when something has come
}

type received struct {
	To       string            `json:"to"`
	Template string            `json:"template"`
	Args     map[string]string `json:"args"`
	taken    bool
}

func openMailbox(ctx context.Context, patience time.Duration) (*mailbox, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &mailbox{patience: patience, url: "http://" + l.Addr().String() + "/", new: make(chan struct{})}
	m.server = &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = m.server.Serve(l) }()
	return m, nil
}

// ServeHTTP takes one message.
func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var one received
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&one); err != nil {
		http.Error(w, "not a message", http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, one)
	close(m.new)
	m.new = make(chan struct{})
	w.WriteHeader(http.StatusNoContent)
}

// take waits for the next message of that template to that address.
func (m *mailbox) take(ctx context.Context, to, template string) (received, error) {
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	for {
		m.mu.Lock()
		for i := range m.got {
			if one := &m.got[i]; one.To == to && one.Template == template && !one.taken {
				one.taken = true
				m.mu.Unlock()
				return *one, nil
			}
		}
		wait := m.new
		m.mu.Unlock()
		select {
		case <-ctx.Done():
			return received{}, fmt.Errorf("no message %q came to %s", template, to)
		case <-wait:
		}
	}
}

// await waits for a notice.
func (m *mailbox) await(ctx context.Context, to, template string) error {
	_, err := m.take(ctx, to, template)
	return err
}
