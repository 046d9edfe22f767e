package httpcall

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/stile-auth/stile/flows"
)

const maxBody = 1 << 20

// question is the body of a call.
type question struct {
	Run     string    `json:"run"`
	Step    string    `json:"step"`
	Visit   int       `json:"visit"`
	Flow    string    `json:"flow"`
	Subject string    `json:"subject"`
	Time    time.Time `json:"time"`
}

// ask makes the call and returns the answer. Its errors hold
// neither the URL nor anything that the service said.
func (s *step) ask(ctx context.Context, v *flows.Visit) ([]byte, error) {
	secret, err := s.cfg.Secret.read(s.env)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(question{v.RunID, v.StepID, v.Attempt, v.Flow, v.Subject, v.Now.UTC()})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "stile")
	req.Header.Set("Stile-Signature", signature(secret, v.Now, body))
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	return read(resp)
}

// signature binds the body to a time, so that an old call cannot be sent again.
func signature(secret []byte, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

func read(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the service answered with status %d", resp.StatusCode)
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errors.New("the answer is not JSON")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, withoutURL(err)
	}
	if len(body) > maxBody {
		return nil, errors.New("the answer is over 1 MiB")
	}
	return body, nil
}

// withoutURL keeps what was in the URL out of logs.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
