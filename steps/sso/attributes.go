package sso

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stile-auth/stile/flowdefs"
	"github.com/stile-auth/stile/flows/account"
	"github.com/stile-auth/stile/oidcclient"
)

// first is what the first sign-on of somebody gives the account that it makes.
// Without a mapping it is the address, if it was verified.
func (p Provider) first(ctx context.Context, id oidcclient.Identity) map[string]string {
	out := map[string]string{}
	if len(p.Attributes) == 0 && id.Email != "" && id.EmailVerified {
		out["email"] = id.Email
	}
	for _, a := range p.Attributes {
		maps.Copy(out, attribute(ctx, a, id))
	}
	maps.Copy(out, p.roles(ctx, id))
	maps.DeleteFunc(out, func(_, value string) bool { return value == "" })
	if len(out) == 0 {
		return nil
	}
	return out
}

// update changes what an account has of the provider, as the definition says.
func (p Provider) update(ctx context.Context, as Accounts, id oidcclient.Identity, found account.Account) error {
	says := p.roles(ctx, id)
	for _, a := range p.Attributes {
		now := attribute(ctx, a, id)
		if a.Update == flowdefs.UpdateAlways || a.Update == flowdefs.UpdateVerified && now[a.Name+flowdefs.VerifiedSuffix] != "" {
			maps.Copy(says, now)
		}
	}
	maps.DeleteFunc(says, func(name, value string) bool { return found.Attributes[name] == value })
	if len(says) == 0 {
		return nil
	}
	return as.SetAttributes(ctx, found.Subject, says)
}

// attribute is one attribute, with whether it was verified; "" is what the provider does
// not say. What is not said was not verified: the flag that somebody else has left was
// about another value. Nor can the provider verify what came through the browser.
func attribute(ctx context.Context, a flowdefs.Attribute, id oidcclient.Identity) map[string]string {
	out := map[string]string{a.Name + flowdefs.VerifiedSuffix: ""}
	if a.Verified == nil {
		out[a.Name] = a.Value.Text(ctx, id.Claims, id.Response)
		return out
	}
	out[a.Name] = a.Value.Text(ctx, id.Claims, nil)
	if out[a.Name] != "" && a.Verified.Holds(ctx, id.Claims, nil) {
		out[a.Name+flowdefs.VerifiedSuffix] = "true"
	}
	return out
}

// roles are those that follow from the provider's groups now: none from groups that it does not say.
func (p Provider) roles(ctx context.Context, id oidcclient.Identity) map[string]string {
	if p.Groups == nil {
		return map[string]string{}
	}
	var roles []string
	for _, group := range p.Groups.Value.Texts(ctx, id.Claims, nil) {
		if role, ok := p.Groups.Roles[group]; ok {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return map[string]string{flowdefs.RolesAttribute: strings.Join(slices.Compact(roles), ",")}
}
