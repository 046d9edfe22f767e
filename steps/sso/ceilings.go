package sso

import (
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
)

// ceiling is the most that any provider can prove.
func ceiling() assurance.Ceiling {
	return assurance.Ceiling{
		Method:          assurance.Federated,
		Categories:      []assurance.Category{assurance.Knowledge, assurance.Possession, assurance.Inherence},
		ReplayResistant: true,
	}
}

// ceilings is the most that the provider of one step can prove, as it is configured.
func ceilings(cfg flowdefs.Config, providers map[string]*flowdefs.Provider) []assurance.Ceiling {
	var c config
	p := (*flowdefs.Provider)(nil)
	if cfg.Decode(&c) == nil {
		p = providers[c.Provider]
	}
	if p == nil {
		return []assurance.Ceiling{ceiling()}
	}
	own := ceiling()
	own.Categories, own.Cap, own.ReplayResistant = p.Categories, p.Cap, p.Cap >= assurance.AAL2
	return []assurance.Ceiling{own}
}
