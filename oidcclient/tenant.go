package oidcclient

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

// tenantMark stands in TokenIssuer for the tenant.
const tenantMark = "{tenantid}"

const maxTenant = 64

var tenantForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

// Issues says whether tokens of the provider name that issuer: its own, or that of a
// tenant that people may come from.
func (p *Provider) Issues(issuer string) bool {
	if p.cfg.TokenIssuer == "" {
		return issuer == p.cfg.Issuer
	}
	before, after, _ := strings.Cut(p.cfg.TokenIssuer, tenantMark)
	rest, begins := strings.CutPrefix(issuer, before)
	tenant, ends := strings.CutSuffix(rest, after)
	return begins && ends && p.admits(tenant)
}

// admits says whether people may come from that tenant.
func (p *Provider) admits(tenant string) bool {
	return tenantForm.MatchString(tenant) && len(tenant) <= maxTenant && (len(p.cfg.Tenants) == 0 || slices.Contains(p.cfg.Tenants, tenant))
}

// tokenIssuer is the issuer that an ID token must name. Of a provider with an
// issuer for each tenant it follows from the claim tid, of which nothing is
// believed yet: it stands under the same signature, and tokens of tenants that
// are not ours end here.
func (p *Provider) tokenIssuer(compact string) (string, error) {
	if p.cfg.TokenIssuer == "" {
		return p.cfg.Issuer, nil
	}
	segments := strings.Split(compact, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(segments[1]) // parseHeader has counted them
	if err != nil || checkJSON(text) != nil {
		return "", refused("ID token: claims")
	}
	c, err := decode(text)
	if err != nil {
		return "", err
	}
	tenant, _ := c["tid"].(string)
	if !p.admits(tenant) {
		return "", refused("ID token: tid")
	}
	return strings.Replace(p.cfg.TokenIssuer, tenantMark, tenant, 1), nil
}
