package sso

import (
	"slices"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/oidcclient"
)

// Ceiling is the most that any provider can prove.
func Ceiling() assurance.Ceiling {
	return assurance.Ceiling{
		Method:          assurance.Federated,
		Categories:      []assurance.Category{assurance.Knowledge, assurance.Possession, assurance.Inherence},
		ReplayResistant: true, PhishingResistant: true,
		Mapped: assurance.Mappable(),
	}
}

// ceilings is the most that the provider of one step can prove, as it is configured.
func ceilings(cfg flowdefs.Config, providers map[string]*flowdefs.Provider) []assurance.Ceiling {
	var c config
	if cfg.Decode(&c) != nil {
		return []assurance.Ceiling{Ceiling()}
	}
	return CeilingsOf(providers[c.Provider])
}

// CeilingsOf is the most that a provider can prove; nil: whatever any can.
func CeilingsOf(p *flowdefs.Provider) []assurance.Ceiling {
	if p == nil {
		return []assurance.Ceiling{Ceiling()}
	}
	out := []assurance.Ceiling{{
		Method: assurance.Federated, Categories: p.Categories, Cap: p.Cap, ReplayResistant: p.Cap >= assurance.AAL2,
	}}
	for _, m := range p.Mapping {
		out = append(out, assurance.Ceiling{
			Method: assurance.Federated, Categories: m.Categories, Cap: min(m.Cap, p.Cap), Mapped: m.Grants,
			ReplayResistant: m.ReplayResistant, PhishingResistant: m.PhishingResistant,
		})
	}
	return out
}

// evidence is what the provider is trusted to prove: by the first mapping that
// fits what it says, or else the least that it is configured for. Its own words
// are kept apart, and no cap is above the provider's. What a run
// has linked is never worth more than that run was; who else is linked was not bound here.
func evidence(p Provider, id oidcclient.Identity, level assurance.Level) assurance.Evidence {
	e := assurance.Evidence{
		Method:          assurance.Federated,
		Authenticator:   idOf(id),
		Categories:      p.Categories,
		ReplayResistant: p.Cap >= assurance.AAL2,
		Binding:         level,
		Cap:             p.Cap,
		Upstream: &assurance.Upstream{
			Provider: p.Name, Session: flows.SessionDigest(id.SessionID), Began: id.Began,
			Issuer: id.Issuer, Subject: id.Subject, ACR: id.ACR, AMR: id.AMR, AuthTime: id.AuthTime,
		},
	}
	for _, m := range p.Mapping {
		if !fits(m, id) {
			continue
		}
		e.Categories, e.Mapped, e.Cap = m.Categories, m.Grants, min(m.Cap, p.Cap)
		e.ReplayResistant, e.PhishingResistant = m.ReplayResistant, m.PhishingResistant
		break
	}
	return e
}

// fits says whether a provider says what a mapping asks for. What it does not say never fits.
func fits(m flowdefs.Mapping, id oidcclient.Identity) bool {
	if len(m.ACR) > 0 && !slices.Contains(m.ACR, id.ACR) {
		return false
	}
	for _, value := range m.AMR {
		if !slices.Contains(id.AMR, value) {
			return false
		}
	}
	return len(m.ACR) > 0 || len(m.AMR) > 0
}
