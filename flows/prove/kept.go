package prove

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// Kept remembers what was proved before. Only flows without findings are kept.
// Whoever keeps verdicts where others could write them has to authenticate them.
// Safe for concurrent use.
type Kept interface {
	// Verdicts returns what was kept under a key, and whether anything was.
	Verdicts(key string) ([]Verdict, bool)
	// Keep keeps the verdicts of one flow.
	Keep(key string, vs []Verdict)
}

// keyOf names everything that the verdicts of one flow depend on: the program
// that proves and runs and how it departs from the rules of assurance, the definitions
// of the flow, of what its targets ask and of levels, what providers are trusted for, and which tags sessions can have.
func keyOf(o Options, set *flowdefs.Set, jobs []job) string {
	type trusted struct {
		Categories []assurance.Category
		Cap        assurance.Level
		Mapping    []flowdefs.Mapping
	}
	type rung struct {
		Name, Asks string
		Floor      assurance.Level
		MaxAge     time.Duration
	}
	type propagated struct {
		If, Type string
		Claims   map[string]string
	}
	type asked struct {
		Hash, Target, ACR, Scale, MaxAge string
		Propagate                        []propagated
	}
	all := struct {
		Build     string
		Jobs      []asked
		Providers map[string]trusted
		Tags      []string
		Levels    map[string][]rung
		Departs   assurance.Deviations
	}{Build: o.Build, Departs: o.Deviations, Levels: map[string][]rung{}, Providers: map[string]trusted{}}
	for _, j := range jobs {
		a := asked{Hash: j.flow.Hash}
		if t := j.target; t != nil {
			a.Target, a.ACR, a.Scale, a.MaxAge, a.Propagate = t.Name, t.Requires.ACR, t.Scale, t.Requires.MaxAge.String(), nil
			for _, p := range t.Propagate {
				one := propagated{Type: p.Type + " " + p.Provider, Claims: map[string]string{}}
				if p.If != nil {
					one.If = p.If.Source
				}
				for name, c := range p.Claims {
					one.Claims[name] = c.Source
				}
				a.Propagate = append(a.Propagate, one)
			}
		}
		all.Jobs = append(all.Jobs, a)
	}
	for name, p := range set.Providers {
		all.Providers[name] = trusted{p.Categories, p.Cap, p.Mapping}
	}
	for _, s := range set.Levels {
		for _, r := range s.Rungs {
			all.Levels[s.Name] = append(all.Levels[s.Name], rung{r.Name, r.Asks, r.Floor, r.MaxAge})
		}
	}
	for _, f := range set.Flows {
		eachNode(f, func(n *flowdefs.Node, _ bool) { all.Tags = append(all.Tags, n.Set...) })
	}
	slices.Sort(all.Tags)
	all.Tags = slices.Compact(all.Tags)
	text, err := json.Marshal(all) // maps are written sorted
	if err != nil {
		panic(fmt.Sprintf("prove: %v", err)) // cannot happen: data only
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
