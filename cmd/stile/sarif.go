package main

import (
	"path/filepath"
	"slices"

	"github.com/stile-auth/stile/flows/prove"
)

// The part of SARIF 2.1.0 (OASIS) that code hosts read.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
)

// definitionRule is the rule of mistakes that are found without a proof.
const definitionRule = "definition"

// sarifOf renders a report as SARIF.
func sarifOf(r checkReport) sarifLog {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "stile"}}, Results: []sarifResult{}}
	rules := []string{definitionRule, string(prove.Broken), string(prove.Bound)}
	for _, c := range prove.Checks() {
		rules = append(rules, string(c))
	}
	slices.Sort(rules)
	for _, id := range rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{id})
	}
	for _, p := range r.Problems {
		id := p.Check
		if id == "" {
			id = definitionRule
		}
		run.Results = append(run.Results, sarifResult{
			RuleID: id, Level: "error", Message: sarifText{p.words()},
			Locations: []sarifLocation{{sarifPhysical{sarifArtifact{filepath.ToSlash(p.File)}, sarifRegion{max(p.Line, 1), max(p.Column, 1)}}}},
		})
	}
	return sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}
