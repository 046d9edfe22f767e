package httpapi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/httpapi"
)

// pipes is a network in memory, so that a server's time limits pass as fast as a test likes.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	there, here := net.Pipe()
	p.conns <- there
	return here, nil
}

// deployed serves w with the server and the limits that it has in production,
// and returns a client of it. It works inside of a bubble only.
func deployed(t *testing.T, w *world) *http.Client {
	t.Helper()
	s, err := httpapi.NewServer("", w, w.log.logger())
	if err != nil {
		t.Fatal(err)
	}
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	served := make(chan struct{})
	go func() { defer close(served); _ = s.Serve(p) }()
	transport := &http.Transport{DialContext: p.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = s.Close()
		<-served
	})
	return &http.Client{Transport: transport}
}

func open(t *testing.T, client *http.Client, path string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://stile.example"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Flow "+goodHandle)
	r.Header.Set("Prefer", "wait=25")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// The server's limits for reading (15 s) and writing (60 s) do not cut who waits.
func TestLimitsDoNotCutWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.engine.onShow = moves(moved{after: 200 * time.Second, turn: 3}, moved{after: 201 * time.Second, turn: 3, status: flows.Completed})
		client := deployed(t, w)
		began := time.Now()
		resp := open(t, client, "/v1/flow")
		if body := text(t, resp); resp.StatusCode != 200 || !strings.Contains(body, `"turn":2`) || time.Since(began) != 25*time.Second {
			t.Errorf("%d %s after %s", resp.StatusCode, body, time.Since(began))
		}
		_ = resp.Body.Close()
		resp = open(t, client, "/v1/flow/events")
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || time.Since(began) != 201*time.Second {
			t.Fatalf("%v after %s: %s", err, time.Since(began), body)
		}
		got := sent(t, string(body))
		if n := strings.Count(strings.Join(got, ""), ":"); n != 11 || got[0] != "view in_progress" || got[len(got)-1] != "view completed" {
			t.Errorf("%v", got)
		}
	})
}

// Each event arrives when it is sent.
func TestEventsArriveOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.engine.onShow = moves(moved{after: 7 * time.Second, turn: 3}, moved{after: 9 * time.Second, turn: 4, status: flows.Completed})
		client := deployed(t, w)
		began := time.Now()
		resp := open(t, client, "/v1/flow/events")
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		var at []time.Duration
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") {
				at = append(at, time.Since(began))
			}
		}
		if len(at) != 3 || at[0] != 0 || at[1] != 7*time.Second || at[2] != 9*time.Second {
			t.Errorf("%v", at)
		}
	})
}

// Who stops reading is let go, and so is who leaves.
func TestStreamOfADeafClientEnds(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(net.Conn){
		"deaf": func(net.Conn) {},
		"gone": func(c net.Conn) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				client := deployed(t, w)
				transport, _ := client.Transport.(*http.Transport)
				phone, err := transport.DialContext(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer phone.Close()
				if _, err := io.WriteString(phone, "GET /v1/flow/events HTTP/1.1\r\nHost: x\r\nAuthorization: Flow "+goodHandle+"\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if _, err := bufio.NewReader(phone).ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				leave(phone)
				time.Sleep(50 * time.Second) // of the bubble: 15 to the first beat, 30 to read it, and some
				if lines := w.log.lines(t); len(lines) != 1 || lines[0]["route"] != "/v1/flow/events" {
					t.Errorf("the stream goes on: %v", lines)
				}
			})
		})
	}
}
