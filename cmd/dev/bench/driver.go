package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/pquerna/otp/totp"
)

// person is one seeded account. Each signs in once: a code is good for one login only.
type person struct {
	Login    string `json:"login"`
	Password string `json:"password"`
	Seed     []byte `json:"seed"`
}

// answer is what the driver reads of the server's answers.
type answer struct {
	Handle   string `json:"handle"`
	NextStep *struct {
		Data struct {
			AuthorizationRequestURI string `json:"authorizationRequestUri"`
		} `json:"data"`
		Actions []struct {
			Name string `json:"name"`
			Href string `json:"href"`
		} `json:"actions"`
	} `json:"nextStep"`
	Result *struct {
		Grant struct {
			Token string `json:"token"`
		} `json:"grant"`
	} `json:"result"`
}

// load is what a run of the driver measured.
type load struct {
	Flows    int
	Requests int
	Wall     time.Duration
	Flow     []time.Duration // sorted, of complete flows
	Request  []time.Duration // sorted, of single requests
}

// drive signs every person in, with so many at once: start, password, code, and
// the token verified with the server's published key.
func drive(ctx context.Context, url string, people []person, atOnce int) (load, error) {
	d := &driver{url: url, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce}}}
	if err := d.fetchKey(ctx); err != nil {
		return load{}, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	out := load{Flows: len(people), Requests: 3 * len(people)}
	var mu sync.Mutex
	begin := time.Now()
	for range atOnce {
		wg.Go(func() {
			var flows, requests []time.Duration
			for i := next.Add(1) - 1; int(i) < len(people) && ctx.Err() == nil; i = next.Add(1) - 1 {
				t := time.Now()
				took, err := d.signIn(ctx, people[i])
				if err != nil {
					stop(err)
					return
				}
				flows, requests = append(flows, time.Since(t)), append(requests, took...)
			}
			mu.Lock()
			defer mu.Unlock()
			out.Flow, out.Request = append(out.Flow, flows...), append(out.Request, requests...)
		})
	}
	wg.Wait()
	out.Wall = time.Since(begin)
	slices.Sort(out.Flow)
	slices.Sort(out.Request)
	return out, context.Cause(ctx)
}

type driver struct {
	url    string
	client *http.Client
	key    *ecdsa.PublicKey
}

func (d *driver) signIn(ctx context.Context, p person) ([]time.Duration, error) {
	code, err := totp.GenerateCode(base32.StdEncoding.EncodeToString(p.Seed), time.Now())
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	handle, href := "", "/v1/flows"
	var a answer
	for _, body := range []any{
		map[string]string{"clientId": "bench", "target": "ledger"},
		map[string]string{"username": p.Login, "password": p.Password},
		map[string]string{"code": code},
	} {
		t := time.Now()
		if a, err = d.post(ctx, href, handle, body); err != nil {
			return nil, err
		}
		took = append(took, time.Since(t))
		if a.Handle != "" {
			handle = a.Handle
		}
		if a.NextStep != nil {
			href = a.NextStep.Actions[0].Href
		}
	}
	return took, d.verify(a)
}

// verify verifies the token that a flow ended with.
func (d *driver) verify(a answer) error {
	if a.Result == nil {
		return errors.New("bench: the flow did not complete")
	}
	_, err := jwt.Parse(a.Result.Grant.Token, func(*jwt.Token) (any, error) { return d.key, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired(), jwt.WithAudience(audience))
	return err
}

func (d *driver) post(ctx context.Context, path, handle string, body any) (answer, error) {
	var a answer
	data, err := json.Marshal(body)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+path, bytes.NewReader(data))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	if handle != "" {
		req.Header.Set("Authorization", "Flow "+handle)
	}
	data, err = d.do(req)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(data, &a)
}

func (d *driver) do(req *http.Request) ([]byte, error) {
	res, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("bench: %s %s: %s: %s", req.Method, req.URL.Path, res.Status, data)
	}
	return data, err
}

func (d *driver) fetchKey(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/.well-known/jwks.json", nil)
	if err != nil {
		return err
	}
	data, err := d.do(req)
	if err != nil {
		return err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(data, &set); err != nil {
		return err
	}
	for _, k := range set.Keys {
		if pub, ok := k.Key.(*ecdsa.PublicKey); ok {
			d.key = pub
			return nil
		}
	}
	return errors.New("bench: the server publishes no ES256 key")
}

// at returns the p-th percentile of sorted durations.
func at(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
