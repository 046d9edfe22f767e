package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrShown reports a prompt that wants something else signed than it shows.
var ErrShown = errors.New("app: what is to be signed is not what is shown")

// Shown is what a transaction's prompt has the phone show.
type Shown struct {
	Message   string            `json:"message"`
	Locale    string            `json:"locale"`
	Text      string            `json:"text"`
	Arguments map[string]string `json:"arguments"`
	Txn       string            `json:"txn"`
}

// hash is what the signature has to say. It is computed from what is shown, as
// RFC 8785 writes it: members sorted, no spaces, strings escaped no more than they must be.
func (s Shown) hash() (string, error) {
	names := make([]string, 0, len(s.Arguments))
	for name := range s.Arguments {
		names = append(names, name)
	}
	slices.Sort(names)
	members := make([]string, len(names))
	for i, name := range names {
		member, err := pair(name, s.Arguments[name])
		if err != nil {
			return "", err
		}
		members[i] = member
	}
	parts := []string{`"arguments":{` + strings.Join(members, ",") + `}`}
	for _, p := range [][2]string{{"locale", s.Locale}, {"message", s.Message}, {"text", s.Text}} {
		member, err := pair(p[0], p[1])
		if err != nil {
			return "", err
		}
		parts = append(parts, member)
	}
	sum := sha256.Sum256([]byte("{" + strings.Join(parts, ",") + "}"))
	return encode(sum[:]), nil
}

func pair(name, value string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := errors.Join(e.Encode(name), e.Encode(value)); err != nil {
		return "", fmt.Errorf("app: %w", err)
	}
	key, text, _ := strings.Cut(strings.TrimSuffix(b.String(), "\n"), "\n")
	return key + ":" + text, nil
}

// Approve shows a transaction to the owner and signs the prompt and what was
// shown with the enrolled key (devauth+jwt) for that client. [ErrShown] if the
// prompt says that something else was, [ErrNotEnrolled] without a key,
// [ErrBiometrics] if the owner is not there.
func (d *Device) Approve(p Prompt, shown Shown, clientID string) (string, error) {
	if err := p.check(d.cfg.Now()); err != nil {
		return "", err
	}
	hash, err := shown.hash()
	if err != nil {
		return "", err
	}
	if shown.Text == "" || hash != shown.Txn {
		return "", ErrShown
	}
	for _, value := range shown.Arguments {
		if !strings.Contains(shown.Text, value) {
			return "", ErrShown
		}
	}
	d.mu.Lock()
	key := d.enrolled
	d.mu.Unlock()
	if key == nil {
		return "", ErrNotEnrolled
	}
	claims := d.authentication(p, clientID, key)
	claims["txn"] = hash
	return d.sign(key, map[string]any{"typ": "devauth+jwt", "kid": key.thumbprint}, claims)
}

// Rehash is what a phone does on which the text was altered: it shows, and signs, what it was given.
func (s Shown) Rehash() (Shown, error) {
	var err error
	s.Txn, err = s.hash()
	return s, err
}
