package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

const maxBody = 1 << 20 // of a request or an answer; the contract's are a few kilobytes

// Exchange is one HTTP request and what came of it. It holds secrets: who
// prints it shortens them.
type Exchange struct {
	Who            string // "app" or "browser"
	Method         string
	URL            string
	RequestHeader  http.Header // with the cookies of a browser
	RequestBody    []byte
	Status         int // 0: no answer yet, or none
	ResponseHeader http.Header
	ResponseBody   []byte
	Err            error // why the caller got no answer; Status says whether there was one
}

// Wire is an http.RoundTripper that shows what passes through it. Safe for
// concurrent use if its hooks are; they run on the caller's goroutine.
type Wire struct {
	// Who is copied into each Exchange.
	Who string
	// Next carries the request. Default http.DefaultTransport.
	Next http.RoundTripper
	// Trace is told of each exchange when it is over. Optional.
	Trace func(Exchange)
	// Cut is asked twice, before a request leaves (Status is 0) and when its
	// answer has arrived; an error breaks the connection there. So a request
	// can be lost, and so can an answer to a request that was received. Optional.
	Cut func(Exchange) error
}

var _ http.RoundTripper = (*Wire)(nil)

// RoundTrip sends the request and reads the whole answer.
func (w *Wire) RoundTrip(r *http.Request) (*http.Response, error) {
	x := Exchange{Who: w.Who, Method: r.Method, URL: r.URL.String(), RequestHeader: r.Header.Clone()}
	r, err := w.readRequest(r, &x)
	if err != nil {
		return nil, err
	}
	resp, err := w.carry(r, &x)
	x.Err = err
	if w.Trace != nil {
		w.Trace(x)
	}
	return resp, err
}

func (w *Wire) readRequest(r *http.Request, x *Exchange) (*http.Request, error) {
	if r.Body == nil {
		return r, nil
	}
	defer r.Body.Close()
	body, err := readAll(r.Body)
	if err != nil {
		return nil, err
	}
	x.RequestBody = body
	r = r.Clone(r.Context()) // a RoundTripper must not change the request that it was given
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, nil
}

func (w *Wire) carry(r *http.Request, x *Exchange) (*http.Response, error) {
	if err := w.cut(*x); err != nil {
		return nil, err
	}
	next := w.Next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body)
	if err != nil {
		return nil, err
	}
	x.Status, x.ResponseHeader, x.ResponseBody = resp.StatusCode, resp.Header.Clone(), body
	if err := w.cut(*x); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (w *Wire) cut(x Exchange) error {
	if w.Cut == nil {
		return nil
	}
	return w.Cut(x)
}

// readAll reads a body and refuses one that is larger than anybody should send.
func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("app: a body has more than %d bytes", maxBody)
	}
	return body, nil
}
