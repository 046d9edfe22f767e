package flows

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// answered is the answer to the last request that changed a run, kept for its
// idempotent repeat. What cannot be rendered again (a new handle, a result) is
// sealed under a key derived from the secret that the request presented: at
// rest nobody can read it.
type answered struct {
	Key    [32]byte      `json:"key"`  // hash of the idempotency key
	Body   [32]byte      `json:"body"` // hash of the request
	Sealed []byte        `json:"sealed,omitempty"`
	Kind   Kind          `json:"kind,omitempty"` // of the problem that it was answered with
	Code   string        `json:"code,omitempty"`
	Detail string        `json:"detail,omitempty"`
	Retry  time.Duration `json:"retry,omitempty"`
}

// errOtherSecret: the answer was given to another secret, and cannot be read with this one.
var errOtherSecret = errors.New("flows: sealed for another secret")

// secrets is what Sealed holds.
type secrets struct {
	Handle Secret  `json:"handle,omitempty"`
	Result *Result `json:"result,omitempty"`
	View   *View   `json:"view,omitempty"`   // of another run
	Cookie Secret  `json:"cookie,omitempty"` // value of the one that belongs to Result, or to View

	Link *handoverData `json:"link,omitempty"`
}

// remember keeps the answer to c in r, if c asked for it.
func (r *run) remember(c Caller, presented string, v View, link *handoverData, pr *Problem) error {
	r.Answered = nil
	if c.IdempotencyKey == "" {
		return nil
	}
	a := &answered{Key: sha256.Sum256([]byte(c.IdempotencyKey)), Body: sha256.Sum256(c.Body)}
	if pr != nil {
		a.Kind, a.Code, a.Detail, a.Retry = pr.Kind, pr.Code, pr.Detail, pr.RetryAfter
	}
	if v.Handle != "" || v.Result != nil || link != nil {
		kept := secrets{Handle: v.Handle, Result: v.Result, Link: link}
		if v.Flow.ID != r.ID {
			kept = secrets{View: &v}
		}
		if c := v.cookie(); c != nil {
			kept.Cookie = c.Value
		}
		plain, err := json.Marshal(kept)
		if err != nil {
			return fmt.Errorf("flows: encode answer: %w", err)
		}
		aead, err := cipherOf(presented, "stile idempotent answer")
		if err != nil {
			return err
		}
		a.Sealed = aead.Seal(nil, nil, plain, []byte(r.ID))
	}
	r.Answered = a
	return nil
}

// isRepeat reports whether c repeats the request that r answered last: nil and
// true, or a problem if the key was used for another request.
func (r *run) isRepeat(c Caller) (bool, *Problem) {
	if c.IdempotencyKey == "" || r.Answered == nil {
		return false, nil
	}
	key, body := sha256.Sum256([]byte(c.IdempotencyKey)), sha256.Sum256(c.Body)
	if subtle.ConstantTimeCompare(key[:], r.Answered.Key[:]) != 1 {
		return false, nil
	}
	if body != r.Answered.Body {
		return false, &Problem{Kind: KindRejected, Code: CodeKeyReused, Detail: "The idempotency key was used for another request."}
	}
	return true, nil
}

// replay renders the kept answer again.
func (e *Engine) replay(ac *active, r *run, p *program, presented string) (View, error) {
	v := e.view(ac, r, p)
	a := r.Answered
	if a.Sealed != nil {
		aead, err := cipherOf(presented, "stile idempotent answer")
		if err != nil {
			return View{}, err
		}
		plain, err := aead.Open(nil, nil, a.Sealed, []byte(r.ID))
		if err != nil {
			return View{}, errOtherSecret
		}
		var s secrets
		if err := json.Unmarshal(plain, &s); err != nil {
			return View{}, err
		}
		if s.View != nil {
			v = *s.View
		} else {
			v.Handle, v.Result = s.Handle, s.Result
		}
		if c := v.cookie(); c != nil {
			c.Value = s.Cookie
		}
		if s.View != nil {
			return v, nil
		}
		v.link(s.Link)
	}
	if a.Code != "" {
		return View{}, &Problem{Kind: a.Kind, Code: a.Code, Detail: a.Detail, RetryAfter: a.Retry, View: &v, recorded: true}
	}
	return v, nil
}

// cipherOf seals for whoever presents a secret again.
func cipherOf(presented, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(presented), nil, purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
