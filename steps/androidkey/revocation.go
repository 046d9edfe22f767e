package androidkey

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrStale reports that nobody knows whether certificates are revoked: the list
// cannot be read, or is older than it may be.
var ErrStale = errors.New("androidkey: the list of revocations is too old or cannot be read")

const maxList = 16 << 20 // bytes; the real list has some hundred kilobytes

// Revocations is Google's list of certificates that are not to be trusted any
// more, in the form of https://android.googleapis.com/attestation/status, in a
// file that somebody keeps up to date. It is read again when the file has
// changed. Safe for concurrent use. The nil list knows of none.
type Revocations struct {
	file   string
	maxAge time.Duration

	mu      sync.Mutex
	at      time.Time // of the file that was read last
	size    int64
	serials map[string]bool
}

// OpenRevocations reads the list for the first time. maxAge is how long ago the
// file may have been written: an older one answers [ErrStale].
func OpenRevocations(file string, maxAge time.Duration) (*Revocations, error) {
	if maxAge <= 0 {
		return nil, errors.New("androidkey: a list of revocations needs the age that it may have")
	}
	r := &Revocations{file: file, maxAge: maxAge}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return nil, err
	}
	return r, nil
}

// check looks every certificate up. A suspended one is not trusted either: that
// somebody may be forging with it is known, and that nobody is, is not.
func (r *Revocations) check(chain []*x509.Certificate, now time.Time) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	if now.Sub(r.at) > r.maxAge {
		return ErrStale
	}
	for _, c := range chain {
		if r.serials[c.SerialNumber.Text(16)] {
			return Revoked
		}
	}
	return nil
}

// refresh reads the file if it has changed.
func (r *Revocations) refresh() error {
	info, err := os.Stat(r.file)
	if err != nil {
		return fmt.Errorf("androidkey: revocations: %w", err)
	}
	if info.ModTime().Equal(r.at) && info.Size() == r.size && r.serials != nil {
		return nil
	}
	if info.Size() > maxList {
		return fmt.Errorf("androidkey: revocations: more than %d bytes", maxList)
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		return fmt.Errorf("androidkey: revocations: %w", err)
	}
	serials, err := readRevocations(text)
	if err != nil {
		return err
	}
	r.at, r.size, r.serials = info.ModTime(), info.Size(), serials
	return nil
}

// readRevocations reads the list. Whatever stands in it is not trusted: a status
// that nobody has heard of is none that lets a certificate be used.
func readRevocations(text []byte) (map[string]bool, error) {
	var list struct {
		Entries map[string]struct {
			Status string `json:"status"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("androidkey: revocations: %w", err)
	}
	if list.Entries == nil {
		return nil, errors.New("androidkey: revocations: no entries")
	}
	out := make(map[string]bool, len(list.Entries))
	for serial := range list.Entries {
		out[strings.TrimLeft(strings.ToLower(serial), "0")] = true
	}
	return out, nil
}
