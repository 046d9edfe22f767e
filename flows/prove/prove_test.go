package prove_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flowdefs/examples"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/prove"
	"github.com/stile-auth/stile/flows/seal"
	"github.com/stile-auth/stile/steps"
)

func registry(t testing.TB) *flows.Registry {
	t.Helper()
	sealer, err := seal.New(seal.Key{ID: "1", Secret: make([]byte, seal.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := flows.NewRegistry(steps.Builtin(steps.Deps{Seeds: sealer, Issuer: "https://id.bank.example"})...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestX(t *testing.T) {
	r := registry(t)
	set, err := flowdefs.Load(examples.FS, ".", r)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	vs, err := prove.Prove(t.Context(), set, r, prove.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		fmt.Println("==", v.Flow, v.Target, v.States)
		for _, c := range v.Classes {
			fmt.Println("   ", c.ACR, c.AMR, c.Steps, c.Path)
		}
		for _, f := range v.Findings {
			fmt.Println("  !!", f.Pos, f.Check, f.Message, f.Path, "\n", f.Scenario)
		}
	}
	fmt.Println(time.Since(begin))
}
