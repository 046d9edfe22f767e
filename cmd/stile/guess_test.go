package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// curlFlow lets somebody in who makes no DPoP proofs.
const curlFlow = `
flows:
  only-password: { steps: [{ id: password, type: password }] }
clients:
  curl: { flows: [only-password], dpop: optional }
`

// ask sends a request and returns the status and the body of the answer.
func ask(t *testing.T, client *http.Client, url, handle string, body any) (int, map[string]any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if handle != "" {
		req.Header.Set("Authorization", "Flow "+handle)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

// begin starts a run and returns its handle.
func begin(t *testing.T, client *http.Client, url, flow string) string {
	t.Helper()
	status, v := ask(t, client, url+"/v1/flows", "", map[string]string{"clientId": "curl", "flow": flow})
	handle, _ := v["handle"].(string)
	if status != http.StatusCreated || handle == "" {
		t.Fatalf("%d %v", status, v)
	}
	return handle
}

// A hundred wrong guesses at once, at four processes that share one store, each in
// a run of its own: no more of them are checked than one process checks before the
// long pause, however fast it is (T-36, T-39).
func (b binary) guessesAtFour(t *testing.T) {
	t.Parallel()
	const processes, guesses, budget = 4, 100, 5
	dir, _ := b.bankFolder(t)
	if err := os.WriteFile(filepath.Join(dir, "flows", "curl.yaml"), []byte(curlFlow), 0o600); err != nil {
		t.Fatal(err)
	}
	var urls []string
	for range processes {
		urls = append(urls, b.serve(t, dir, "127.0.0.1:0").url)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	handles := make([]string, guesses)
	for i := range handles {
		handles[i] = begin(t, client, urls[i%processes], "only-password")
	}
	guess := func(i int, password string) int {
		status, _ := ask(t, client, urls[i%processes]+"/v1/flow/steps/password?turn=1", handles[i], map[string]string{"username": "jane", "password": password})
		return status
	}
	var counts [600]atomic.Int32
	var wg sync.WaitGroup
	for i := range handles {
		wg.Go(func() { counts[guess(i, fmt.Sprintf("wrong password %d", i))].Add(1) })
	}
	wg.Wait()
	checked, held := counts[http.StatusUnprocessableEntity].Load(), counts[http.StatusTooManyRequests].Load()
	t.Logf("%d were checked, %d were held", checked, held)
	if checked < 1 || checked > budget || checked+held != guesses {
		t.Errorf("%d of %d guesses were checked and %d held", checked, guesses, held)
	}
}
