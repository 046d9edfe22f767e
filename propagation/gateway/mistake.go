package gateway

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stile-auth/stile/propagation/rp"
)

// What a [Mistake] is about.
const (
	AboutResource = "resource"
	AboutApp      = "app"
	AboutKey      = "API key"
)

// Mistake is what is wrong with one thing of a configuration.
type Mistake struct {
	About string // AboutResource, AboutApp or AboutKey
	Name  string // of the thing
	Text  string
}

// String names the thing first.
func (m *Mistake) String() string { return fmt.Sprintf("gateway: %s %s: %s", m.About, m.Name, m.Text) }

// mistakes are found one after the other.
type mistakes []*Mistake

func (m *mistakes) add(about, name, format string, args ...any) {
	*m = append(*m, &Mistake{About: about, Name: name, Text: fmt.Sprintf(format, args...)})
}

// Check returns what is wrong with resources, apps and API keys. It needs none of the rest
// of a configuration.
func Check(cfg Config) []*Mistake {
	var m mistakes
	checkKeys(cfg, &m)
	newTable(slices.Clone(cfg.Resources), &m)
	newApps(slices.Clone(cfg.Apps), &m)
	return m
}

// checkKeys adds what is wrong with API keys.
func checkKeys(cfg Config, m *mistakes) {
	hashes := map[string]bool{}
	for _, k := range cfg.APIKeys {
		for _, use := range k.Uses {
			if !slices.ContainsFunc(cfg.Resources, func(r Resource) bool { return r.Name == use && r.For == ForApp }) {
				m.add(AboutKey, k.Name, "it is for the resource %q, and no resource of that name is for apps", use)
			}
		}
		if _, err := rp.NewAPIKeys([]rp.APIKey{k}); err != nil {
			m.add(AboutKey, k.Name, "%v", err)
		}
		if hashes[k.Hash] {
			m.add(AboutKey, k.Name, "its hash is another's too")
		}
		hashes[k.Hash] = true
	}
}

// joined are they as one error; nil if there are none.
func (m mistakes) joined() error {
	errs := make([]error, 0, len(m))
	for _, one := range m {
		errs = append(errs, errors.New(one.String()))
	}
	return errors.Join(errs...)
}
