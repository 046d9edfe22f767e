package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stile-auth/stile/cmd/stile/node"
	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/assurance"
	"github.com/stile-auth/stile/flows/prove"
)

type diffCmd struct {
	format
	Old string `arg:"" help:"Folder of the definitions as they were."`
	New string `arg:"" help:"Folder of the definitions as they shall be."`
}

// change is one difference. Mark says what it means: + allows more, - allows
// less, ~ is for people to judge.
type change struct {
	Mark  string `json:"mark"`
	Where string `json:"where"`
	What  string `json:"what"`
}

const (
	more    = "+"
	less    = "-"
	changed = "~"
)

// Run compares two folders. That more is allowed than before is a failure, so
// that a pipeline stops and somebody looks.
func (c diffCmd) Run(w *world) error {
	cat, err := node.Catalogue()
	if err != nil {
		return err
	}
	var sets [2]*flowdefs.Set
	var proofs [2][]prove.Verdict
	var unproved [2]flowdefs.Problems
	deviations, err := w.deviations()
	if err != nil {
		return err
	}
	for i, dir := range []string{c.Old, c.New} {
		if sets[i], err = node.LoadDefinitions(dir, cat); err != nil {
			return err
		}
		proofs[i], err = node.Prove(w.ctx, dir, sets[i], cat, prove.Options{Deviations: node.Deviations(deviations)})
		if err != nil && !errors.As(err, &unproved[i]) {
			return err
		}
	}
	err = nil
	changes := compare(sets[0], sets[1], proofs[0], proofs[1])
	was, is := len(unproved[0]), len(unproved[1]) // which mistakes they are is for check to say
	switch {
	case was == 0 && is > 0:
		changes = append(changes, change{more, "definitions", fmt.Sprintf("proved no more: %d mistakes", is)})
	case was > 0 && is == 0:
		changes = append(changes, change{changed, "definitions", "proved: they had mistakes"})
	}
	grew := slices.ContainsFunc(changes, func(c change) bool { return c.Mark == more })
	if c.json() {
		err = w.printJSON(struct {
			AllowsMore bool     `json:"allowsMore"`
			Changes    []change `json:"changes"`
		}{grew, changes})
	} else {
		for _, c := range changes {
			fmt.Fprintf(w.out, "%s %s: %s\n", c.Mark, c.Where, c.What)
		}
	}
	if err == nil && grew {
		err = errReported
	}
	return err
}

// differ collects differences of what stands at where.
type differ struct {
	where  string
	levels assurance.Scales // as they shall be
	out    []change
}

// compare lists the differences between two sets, sorted by section and name.
func compare(before, after *flowdefs.Set, was, is []prove.Verdict) []change {
	d := &differ{out: []change{}, levels: after.Levels}
	each(d, "scale", scales(before), scales(after), changed, d.scale)
	each(d, "flow", before.Flows, after.Flows, changed, d.flow)
	each(d, "target", before.Targets, after.Targets, more, d.target)
	each(d, "provider", before.Providers, after.Providers, more, d.provider)
	each(d, "directory", before.Directories, after.Directories, more, d.directory)
	each(d, "client", before.Clients, after.Clients, more, d.client)
	each(d, "client source", before.ClientSources, after.ClientSources, more, d.clientSource)
	d.weakest(was, is)
	return d.out
}

func scales(s *flowdefs.Set) map[string]*assurance.Scale {
	out := map[string]*assurance.Scale{}
	for i := range s.Levels {
		out[s.Levels[i].Name] = &s.Levels[i]
	}
	return out
}

// scale compares two scales level by level. Whether an expression asks for more
// than another only people can judge: until they have, it may ask for less.
func (d *differ) scale(a, b *assurance.Scale) {
	base := d.where
	rungs := func(s *assurance.Scale) map[string]*assurance.Rung {
		out := map[string]*assurance.Rung{}
		for i := range s.Rungs {
			out[s.Rungs[i].Name] = &s.Rungs[i]
		}
		return out
	}
	each(d, base+", level", rungs(a), rungs(b), changed, func(a, b *assurance.Rung) {
		d.requirement(flowdefs.Requirement{ACR: a.Floor.String()}, flowdefs.Requirement{ACR: b.Floor.String()})
		d.limit("max_age", a.MaxAge, b.MaxAge)
		switch {
		case a.Asks == b.Asks:
		case a.Asks == "":
			d.note(less, "asks for more: %s", b.Asks)
		case b.Asks == "":
			d.note(more, "asks no more: %s", a.Asks)
		default:
			d.note(more, "what it asks changed from %s to %s", a.Asks, b.Asks)
		}
	})
	d.where = base
	order := func(s *assurance.Scale) (names []string) {
		for _, r := range s.Rungs {
			names = append(names, r.Name)
		}
		return names
	}
	x, y := order(a), order(b)
	slices.Sort(x)
	slices.Sort(y)
	if slices.Equal(x, y) && !slices.Equal(order(a), order(b)) {
		d.note(more, "order of levels changed")
	}
}

// each compares what both have, and notes what only one has.
func each[T any](d *differ, kind string, before, after map[string]*T, added string, both func(a, b *T)) {
	names := slices.Sorted(maps.Keys(before))
	names = slices.AppendSeq(names, maps.Keys(after))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		d.where = kind + " " + name
		a, b := before[name], after[name]
		switch {
		case a == nil:
			d.note(added, "added")
		case b == nil:
			d.note(less, "removed")
		default:
			both(a, b)
		}
	}
}

func (d *differ) note(mark, format string, args ...any) {
	d.out = append(d.out, change{mark, d.where, fmt.Sprintf(format, args...)})
}

// judge notes a difference that people have to judge.
func (d *differ) judge(what string, a, b any) {
	if a != b {
		d.note(changed, "%s changed from %q to %q", what, fmt.Sprint(a), fmt.Sprint(b))
	}
}

// amount notes an amount that grew or shrank; ifMore is the mark of growth.
func (d *differ) amount(what, ifMore string, a, b int) {
	switch {
	case b > a:
		d.note(ifMore, "%s raised from %d to %d", what, a, b)
	case b < a:
		d.note(opposite(ifMore), "%s lowered from %d to %d", what, a, b)
	}
}

// limit compares limits in time, of which 0 is none.
func (d *differ) limit(what string, a, b time.Duration) {
	switch {
	case a == b:
	case b == 0:
		d.note(more, "%s dropped: it was %s", what, a)
	case a == 0:
		d.note(less, "%s added: %s", what, b)
	case b > a:
		d.note(more, "%s raised from %s to %s", what, a, b)
	default:
		d.note(less, "%s lowered from %s to %s", what, a, b)
	}
}

// life compares times of which 0 is the default of a place that is not in the definitions.
func (d *differ) life(what string, a, b time.Duration) {
	if a == 0 || b == 0 {
		d.judge(what, a, b)
		return
	}
	d.limit(what, a, b)
}

// list compares sets of words; ifMore is the mark of a new one.
func (d *differ) list(what, ifMore string, before, after []string) {
	for _, s := range after {
		if !slices.Contains(before, s) {
			d.note(ifMore, "%s %q added", what, s)
		}
	}
	for _, s := range before {
		if !slices.Contains(after, s) {
			d.note(opposite(ifMore), "%s %q removed", what, s)
		}
	}
}

func opposite(mark string) string {
	if mark == more {
		return less
	}
	return more
}

// requirement compares what is asked for. Between scales nothing but their
// floors can be compared: where that does not tell, more is allowed until
// somebody has looked.
func (d *differ) requirement(a, b flowdefs.Requirement) {
	from, to := cmp.Or(a.ACR, "none"), cmp.Or(b.ACR, "none")
	switch {
	case a.ACR == b.ACR:
	case d.atLeast(b.ACR, a.ACR):
		d.note(less, "level raised from %s to %s", from, to)
	case d.atLeast(a.ACR, b.ACR):
		d.note(more, "level lowered from %s to %s", from, to)
	default:
		d.note(more, "level changed from %s to %s", from, to)
	}
	d.limit("max_age", a.MaxAge, b.MaxAge)
}

// atLeast says whether a level is certainly no lower than another.
func (d *differ) atLeast(name, other string) bool {
	if other == "" {
		return true
	}
	above, at, err := d.levels.Find(name)
	same, than, err2 := d.levels.Find(other)
	if err != nil || err2 != nil {
		return false
	}
	if above.Name == same.Name {
		return at >= than
	}
	return same.Name == assurance.NIST && above.Rungs[at].Floor >= same.Rungs[than].Floor
}

func (d *differ) target(a, b *flowdefs.Target) {
	d.judge("flow", a.Flow, b.Flow)
	d.list("authorize flow", less, a.Authorize, b.Authorize)
	d.requirement(a.Requires, b.Requires)
	if a.Scale != b.Scale {
		d.note(more, "scale changed from %s to %s", a.Scale, b.Scale)
	}
	d.judge("enrol", a.Enrol, b.Enrol)
	d.propagates(a.Propagate, b.Propagate)
}

// propagates compares what a target gets. Of two entries at the same place only what
// they differ in is told; whether a list that is longer or shorter allows more, a person says.
func (d *differ) propagates(a, b []flowdefs.Propagate) {
	if len(a) != len(b) {
		d.note(more, "propagate changed from %s to %s", entries(a), entries(b))
		return
	}
	for i := range a {
		d.propagate(&a[i], &b[i])
	}
}

// entries are those of a list in few words.
func entries(all []flowdefs.Propagate) string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].Type
		if all[i].If != nil {
			out[i] += " if " + all[i].If.Source
		}
	}
	return "[" + strings.Join(out, "; ") + "]"
}

func (d *differ) propagate(p, q *flowdefs.Propagate) {
	d.judge("type of token", p.Type, q.Type)
	switch {
	case p.If == nil && q.If != nil:
		d.note(less, "condition of %s added: %s", q.Type, q.If.Source)
	case p.If != nil && q.If == nil:
		d.note(more, "condition of %s removed: %s", p.Type, p.If.Source)
	case p.If != nil:
		d.judge("condition of "+p.Type, p.If.Source, q.If.Source)
	}
	d.judge("provider of the token", p.Provider, q.Provider)
	d.judge("header of the token", p.Header, q.Header)
	d.judge("cookie of the token", parts(p.Cookie), parts(q.Cookie))
	if p.Redeemer != q.Redeemer {
		d.note(more, "redeemer changed from %q to %q", p.Redeemer, q.Redeemer)
	}
	if p.Audience != q.Audience {
		d.note(more, "audience changed from %q to %q", p.Audience, q.Audience)
	}
	d.life("ttl", p.TTL, q.TTL)
	d.list("claim", more, slices.Sorted(maps.Keys(p.Claims)), slices.Sorted(maps.Keys(q.Claims)))
	for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
		if c := q.Claims[name]; c != nil {
			d.judge("claim "+name, p.Claims[name].Source, c.Source)
		}
	}
}

// mappings are what a provider's own words are worth, one text for each entry.
func mappings(p *flowdefs.Provider) []string {
	out := make([]string, len(p.Mapping))
	for i, m := range p.Mapping {
		out[i] = fmt.Sprintf("acr %v amr %v: %v grants %v up to %s", m.ACR, m.AMR, m.Categories, m.Grants, m.Cap)
		if m.ReplayResistant {
			out[i] += ", replay_resistant"
		}
		if m.PhishingResistant {
			out[i] += ", phishing_resistant"
		}
	}
	return out
}

// providerPart is a part of a provider of which only a person can say whether its
// change allows more.
type providerPart struct {
	key string
	of  func(p *flowdefs.Provider) string
}

func providerParts() []providerPart {
	return []providerPart{
		{"preset", func(p *flowdefs.Provider) string { return p.Preset }},
		{"token_issuer", func(p *flowdefs.Provider) string { return p.TokenIssuer }},
		{"tenants", func(p *flowdefs.Provider) string { return fmt.Sprint(p.Tenants) }},
		{"endpoints", func(p *flowdefs.Provider) string { return parts(p.Endpoints) }},
		{"user", func(p *flowdefs.Provider) string { return parts(p.User) }},
		{"token_info", func(p *flowdefs.Provider) string { return parts(p.TokenInfo) }},
		{"client_authentication", func(p *flowdefs.Provider) string { return p.Credentials.Method }},
		{"client_secret", func(p *flowdefs.Provider) string { return secretPlace(p.Credentials.Secret) }},
		{"client_key", func(p *flowdefs.Provider) string {
			return secretPlace(p.Credentials.Key) + " " + p.Credentials.KeyID + " " + p.Credentials.Team
		}},
		{"client_certificate", func(p *flowdefs.Provider) string { return secretPlace(p.Credentials.Certificate) }},
		{"client_assertion_audience", func(p *flowdefs.Provider) string { return fmt.Sprint(p.Credentials.AtToken) }},
		{"userinfo", func(p *flowdefs.Provider) string { return fmt.Sprint(p.UserInfo) }},
		{"response_mode", func(p *flowdefs.Provider) string { return p.Mode }},
		{"par", func(p *flowdefs.Provider) string { return p.Push }},
		{"dpop", func(p *flowdefs.Provider) string { return fmt.Sprint(p.DPoP) }},
		{"request", func(p *flowdefs.Provider) string { return fmt.Sprint(p.Request) }},
		{"response_claims", func(p *flowdefs.Provider) string { return p.Response }},
		{"attributes", mappedAttributes},
		{"groups", func(p *flowdefs.Provider) string {
			if p.Groups == nil {
				return ""
			}
			return p.Groups.Value.Source + " " + fmt.Sprint(p.Groups.Roles)
		}},
		{"codes", func(p *flowdefs.Provider) string { return fmt.Sprint(p.Codes) }},
	}
}

// mappedAttributes are what accounts have of a provider, as text.
func mappedAttributes(p *flowdefs.Provider) string {
	var out []string
	for _, a := range p.Attributes {
		text := a.Name + ": " + a.Value.Source + " " + string(a.Update)
		if a.Verified != nil {
			text += " if " + a.Verified.Source
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// parts is what stands behind a pointer, as text.
func parts[T any](p *T) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%+v", *p)
}

func (d *differ) provider(a, b *flowdefs.Provider) {
	d.list("domain", more, a.Domains, b.Domains)
	if a.Issuer != b.Issuer {
		d.note(more, "issuer changed from %q to %q", a.Issuer, b.Issuer)
	}
	d.judge("client_id", a.ClientID, b.ClientID)
	for _, part := range providerParts() {
		d.judge(part.key, part.of(a), part.of(b))
	}
	d.judge("scopes", fmt.Sprint(a.Scopes), fmt.Sprint(b.Scopes))
	d.level("cap", a.Cap, b.Cap)
	var before, after []string
	for _, c := range a.Categories {
		before = append(before, fmt.Sprint(c))
	}
	for _, c := range b.Categories {
		after = append(after, fmt.Sprint(c))
	}
	d.list("category", more, before, after)
	x, y := mappings(a), mappings(b)
	d.list("entry of map", more, x, y)
	if !slices.Equal(x, y) && len(x) == len(y) && !slices.ContainsFunc(y, func(m string) bool { return !slices.Contains(x, m) }) {
		d.note(more, "order of map changed: the first that fits counts")
	}
	d.provision(a.Provision, b.Provision)
}

// provision compares what somebody without an account comes to.
func (d *differ) provision(a, b flowdefs.Provision) {
	order := []flowdefs.Provision{flowdefs.ProvisionNever, flowdefs.ProvisionLinkOnly, flowdefs.ProvisionCreate}
	if i, j := slices.Index(order, a), slices.Index(order, b); i != j {
		mark := more
		if j < i {
			mark = less
		}
		d.note(mark, "provision changed from %s to %s", a, b)
	}
}

// level compares levels that somebody is trusted up to.
func (d *differ) level(what string, a, b assurance.Level) {
	if a == b {
		return
	}
	mark, word := more, "raised"
	if b < a {
		mark, word = less, "lowered"
	}
	d.note(mark, "%s %s from %s to %s", what, word, a, b)
}

func secretPlace(r *flowdefs.SecretRef) string {
	switch {
	case r == nil:
		return "none"
	case r.Env != "":
		return "env " + r.Env
	}
	return "file " + r.File
}

func (d *differ) client(a, b *flowdefs.Client) {
	d.list("flow", more, a.Flows, b.Flows)
	d.list("target", more, a.Targets, b.Targets)
	d.list("redirect URI", more, a.RedirectURIs, b.RedirectURIs)
	for _, provider := range slices.Sorted(maps.Keys(b.ProviderRedirects)) {
		if uri := b.ProviderRedirects[provider]; a.ProviderRedirects[provider] != uri {
			d.note(more, "provider %s sends the browser back to %s", provider, uri)
		}
	}
	for _, provider := range slices.Sorted(maps.Keys(a.ProviderRedirects)) {
		if _, there := b.ProviderRedirects[provider]; !there {
			d.note(more, "provider %s has no redirect URI of its own any more", provider)
		}
	}
	d.list("origin", more, a.Origins, b.Origins)
	switch {
	case a.DPoPRequired && !b.DPoPRequired:
		d.note(more, "dpop is optional: it was required")
	case !a.DPoPRequired && b.DPoPRequired:
		d.note(less, "dpop is required: it was optional")
	}
	d.requirement(a.Requires, b.Requires)
	d.limit("ttl", a.TTL, b.TTL)
	d.oauth(a.OAuth, b.OAuth)
	switch {
	case !a.HandOver && b.HandOver:
		d.note(more, "hands over to the web what it cannot draw")
	case a.HandOver && !b.HandOver:
		d.note(less, "no longer hands over to the web")
	}
}

// oauth tells what a client may do more, or less, at the authorization server.
func (d *differ) oauth(a, b *flowdefs.OAuth) {
	switch {
	case a == nil && b == nil:
		return
	case a == nil:
		d.note(more, "is a relying party of the authorization server")
		a = &flowdefs.OAuth{Auth: b.Auth, Secrets: b.Secrets, Keys: b.Keys, Refresh: b.Refresh}
	case b == nil:
		d.note(less, "is no relying party of the authorization server any more")
		return
	}
	d.list("grant", more, a.Grants, b.Grants)
	d.list("scope", more, a.Scopes, b.Scopes)
	d.list("post-logout redirect URI", more, a.SignedOut, b.SignedOut)
	d.judge("backchannel_logout_uri", a.BackChannel, b.BackChannel)
	if a.Auth != b.Auth {
		d.note(more, "auth is %s: it was %s", b.Auth, a.Auth)
	}
	if !slices.Equal(a.Secrets, b.Secrets) || a.Keys != b.Keys {
		d.note(more, "has another secret or other keys")
	}
	if a.Refresh != b.Refresh {
		mark := more
		if b.Refresh < a.Refresh {
			mark = less
		}
		d.note(mark, "refresh tokens are good for %s: it was %s", b.Refresh, a.Refresh)
	}
}
