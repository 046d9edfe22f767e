package storetest

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stile-auth/stile/flows"
)

// BenchmarkSwap measures pairs of load and swap of a 2 kB run: one caller after
// the other, and 16 callers per processor, each with a run of its own.
func BenchmarkSwap(b *testing.B, runs flows.Store) {
	create := func(name string) flows.Record {
		r := record(name, name)
		r.Data = bytes.Repeat([]byte{0xa5}, 2048)
		if err := runs.Create(b.Context(), r, start); err != nil {
			b.Fatal(err)
		}
		return r
	}
	swap := func(name string) error {
		r, err := runs.Load(b.Context(), alias(name), start)
		if err != nil {
			return err
		}
		r.Version++
		return runs.Update(b.Context(), r)
	}
	b.Run("alone", func(b *testing.B) {
		name := fmt.Sprintf("alone %d", b.N)
		create(name)
		for b.Loop() {
			if err := swap(name); err != nil {
				b.Fatal(err)
			}
		}
	})
	var n atomic.Int64
	b.Run("together", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			name := fmt.Sprintf("together %d", n.Add(1))
			create(name)
			for pb.Next() {
				if err := swap(name); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
