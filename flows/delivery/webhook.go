package delivery

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const minSecret = 32 // bytes: not shorter than the hash (RFC 2104 §3)

// WebhookConfig says which web service takes the messages.
type WebhookConfig struct {
	URL       string // https, or http to this machine
	Secret    []byte // of the signature; at least 32 bytes
	Transport http.RoundTripper
	Now       func() time.Time // required
}

type webhook struct {
	cfg    WebhookConfig
	client *http.Client
}

// NewWebhook returns a sender that posts each message as JSON, signed like the
// calls of the step http_call: Stile-Signature: t=SECONDS,v1=HEX, with HMAC-SHA256
// over t, a dot and the body. Every status of 2xx means that it was taken; 4xx,
// but for 408 and 429, that it never will be.
func NewWebhook(cfg WebhookConfig) (Sender, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, errors.New("delivery: webhook: expected an https URL without user and fragment, or http to this machine")
	}
	if len(cfg.Secret) < minSecret {
		return nil, fmt.Errorf("delivery: webhook: the secret is shorter than %d bytes", minSecret)
	}
	if cfg.Now == nil {
		return nil, errors.New("delivery: webhook: Now is required")
	}
	return &webhook{cfg, &http.Client{
		Transport:     cfg.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// posted is the body of a call.
type posted struct {
	ID       string            `json:"id"`
	Channel  string            `json:"channel"`
	To       string            `json:"to"`
	Template string            `json:"template"`
	Locale   string            `json:"locale"`
	Subject  string            `json:"subject"`
	Text     string            `json:"text"`
	Args     map[string]string `json:"args"`
	Expires  time.Time         `json:"expires"`
}

// refusals are the answers that are about this very message. Others, 401 and 404
// among them, are about the service, and may be over once somebody has mended it.
var refusals = []int{http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} //nolint:gochecknoglobals // a constant

// Send posts the message.
func (w *webhook) Send(ctx context.Context, m Mail) error {
	body, err := json.Marshal(posted(m))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("delivery: webhook: the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "stile")
	req.Header.Set("Idempotency-Key", m.ID)
	req.Header.Set("Stile-Signature", sign(w.cfg.Secret, w.cfg.Now(), body))
	resp, err := w.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // it names the URL
			err = u.Err
		}
		return fmt.Errorf("delivery: webhook: %w", err)
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return nil
	case slices.Contains(refusals, code):
		return fmt.Errorf("%w: the service answers %d", ErrRefused, code)
	default:
		return fmt.Errorf("delivery: the service answers %d", code)
	}
}

func sign(secret []byte, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}
