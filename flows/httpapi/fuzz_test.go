package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows"
)

// FuzzRequest sends anything at all. What reaches the engine is well-formed;
// what does not is recorded once and never a failure of the server.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][6]string{
		{"POST", "/v1/flow/steps/pin", "turn=2", "Flow " + goodHandle, "application/json", `{"pin":"1"}`},
		{"POST", "/v1/flows", "", "", "application/json", `{"clientId":"c","flow":"f","maxAge":1}`},
		{"POST", "/v1/flow/back", "turn=1", "flow " + goodHandle, "application/json; charset=utf-8", "{}"},
		{"GET", "/v1/flow", "", "Flow " + goodHandle, "", ""},
		{"POST", "/v1/flow/resend", "turn=2", "Flow " + goodHandle, "application/json", `{}`},
		{"POST", "/v1/flow/activate", "turn=2", "Flow " + goodHandle, "application/json", `{"step":"s"}`},
		{"DELETE", "/v1/session", "", "Session " + goodHandle, "", ""},
		{"DELETE", "/v1/flow", "x=%zz", "Flow x", "a/b;;", "\xff{"},
		{"POST", "/v1/flow/restart", "turn=4", "Flow " + goodHandle, "application/json", `{"a":[{"b":{}}]}`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], []byte(seed[5]))
	}
	w := newWorld(f, hasty)
	f.Fuzz(func(t *testing.T, method, path, query, authorization, media string, body []byte) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x/", strings.NewReader(string(body)))
		if err != nil || !strings.HasPrefix(path, "/") {
			t.Skip("the server would not have read it")
		}
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", media)
		w.engine.calls, w.engine.refused = nil, nil
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code >= 500 || rec.Code < 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		if len(w.engine.refused) == 1 && len(w.engine.calls) == 1 && w.engine.calls[0].Name == "standing" {
			return // told where the run stands
		}
		if len(w.engine.calls)+len(w.engine.refused) > 1 {
			t.Fatalf("calls %v, refused %v", w.engine.calls, w.engine.refused)
		}
		for _, c := range w.engine.calls {
			wellFormed(t, c)
		}
	})
}

func wellFormed(t *testing.T, c call) {
	t.Helper()
	if c.Name == "start" {
		if c.Start.ClientID == "" || (c.Start.Flow == "") == (c.Start.Target == "") {
			t.Fatalf("a start that says too little or too much: %+v", c)
		}
		return
	}
	if len(c.Handle) != 43 || strings.Trim(c.Handle, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Fatalf("handle %q", c.Handle)
	}
	if slices.Contains([]string{"answer", "back", "restart", "resend", "activate"}, c.Name) && (c.Turn < 1 || c.Turn > 999_999_999) {
		t.Fatalf("turn %d", c.Turn)
	}
	if c.Name == "answer" && flows.CheckJSON([]byte(c.Input)) != nil {
		t.Fatalf("input %q", c.Input)
	}
}

func BenchmarkAnswer(b *testing.B) {
	w := newWorld(b)
	r := httptest.NewRequestWithContext(b.Context(), "POST", answer, nil)
	r.Header.Set("Authorization", "Flow "+goodHandle)
	r.Header.Set("Content-Type", "application/json")
	body := strings.NewReader(`{"pin":"12345678"}`)
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(`{"pin":"12345678"}`)
		r.Body, r.ContentLength = http.NoBody, 18
		r.Body = readCloser{body}
		rec := httptest.NewRecorder()
		w.ServeHTTP(rec, r)
		if rec.Code != 200 {
			b.Fatal(rec.Code)
		}
		w.engine.calls = w.engine.calls[:0]
		w.log.text.Reset()
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
