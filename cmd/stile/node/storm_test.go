package node_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/stile-auth/stile/cmd/stile/config"
	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flows/account"
)

// BenchmarkStart is the p99 of the start of a flow over HTTP: while nothing else
// happens, and while more passwords are verified than the machine can.
func BenchmarkStart(b *testing.B) {
	const bcrypted = "$2b$12$abcdefghijklmnopqrstuuUdvFrqw2QzwU8HBqEH9o3SoNfoEscgq"
	for _, c := range []struct {
		name string
		hash func(ctx context.Context, h *account.Hasher) error
	}{
		{"calm", nil},
		{"argon2", func(ctx context.Context, h *account.Hasher) error { return h.VerifyDummy(ctx, "a wrong password") }},
		{"bcrypt", func(ctx context.Context, h *account.Hasher) error { return h.Verify(ctx, bcrypted, "a wrong password") }},
	} {
		b.Run("storm="+c.name, func(b *testing.B) {
			n := serving(b)
			was := runtime.GOMAXPROCS(2 * runtime.NumCPU()) // as the node has set it; package testing has taken it back
			defer runtime.GOMAXPROCS(was)
			if c.hash != nil {
				b.Cleanup(rage(b, func(ctx context.Context) error { return c.hash(ctx, n.Base.Hasher) }))
			}
			client := &http.Client{}
			defer client.CloseIdleConnections()
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				startFlow(b, client, n.URL())
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100]), "ns/start")
		})
	}
}

// rage keeps more hashing asked for than can be done, until what it returns is called.
func rage(b *testing.B, hash func(ctx context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := hash(ctx); !errors.Is(err, account.ErrWrong) && !errors.Is(err, account.ErrBusy) && ctx.Err() == nil {
					b.Error(err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

func serving(b *testing.B) *node.Node {
	b.Helper()
	cfg, err := config.Default()
	if err != nil {
		b.Fatal(err)
	}
	cfg.Listen, cfg.DataDir, cfg.Store.Type, cfg.Limits.Burst = "127.0.0.1:0", b.TempDir(), "memory", 0
	n, err := node.Start(b.Context(), cfg, node.Options{Logger: zap.NewNop(), Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := n.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return n
}

func startFlow(b *testing.B, client *http.Client, url string) {
	b.Helper()
	q, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/v1/flows", bytes.NewReader([]byte(`{"clientId":"bench","flow":"password-totp"}`)))
	if err != nil {
		b.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := client.Do(q)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil || r.StatusCode != http.StatusCreated {
		b.Fatalf("%v, %s %s", err, r.Status, text)
	}
}
