package scenario

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Text writes the report for people: what failed and how, then one line for
// all, then one per flow of what was reached. With missing, what was not is listed.
func (r *Report) Text(w io.Writer, missing bool) error {
	var b strings.Builder
	for i := range r.Results {
		res := &r.Results[i]
		for _, f := range res.Failures {
			fmt.Fprintf(&b, "FAIL  %s\n%s", res.Scenario.Name, r.text(f))
		}
	}
	fmt.Fprintf(&b, "%d scenarios, %d failed\n", len(r.Results), r.Failed())
	for _, c := range r.Coverage.Flows {
		fmt.Fprintf(&b, "coverage  %s\n", c)
		for _, m := range c.Missing {
			if missing {
				fmt.Fprintf(&b, "          %s: no scenario reached %s %s\n", r.path(m.At), m.Kind, m.What)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// path puts the folder before the name of a file.
func (r *Report) path(name string) string { return filepath.Join(r.Folder, name) }

// text is a failure, indented: its place, what was wrong, and the last answer.
func (r *Report) text(f Failure) string {
	var b strings.Builder
	for i, line := range strings.Split(f.Message, "\n") {
		if i == 0 {
			line = r.path(f.Pos.String()) + ": " + line
		}
		fmt.Fprintf(&b, "      %s\n", line)
	}
	if f.View != "" {
		fmt.Fprintf(&b, "      the last answer: %s\n", f.View)
	}
	return b.String()
}

type jsonReport struct {
	OK        bool           `json:"ok"`
	Scenarios int            `json:"scenarios"`
	Failed    int            `json:"failed"`
	Seconds   float64        `json:"seconds"`
	Results   []jsonResult   `json:"results"`
	Coverage  []FlowCoverage `json:"coverage"`
}

type jsonResult struct {
	Scenario string        `json:"scenario"`
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Passed   bool          `json:"passed"`
	Seconds  float64       `json:"seconds"`
	Failures []jsonFailure `json:"failures,omitempty"`
}

type jsonFailure struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Answer  string `json:"answer,omitempty"`
}

// JSON writes the report for machines.
func (r *Report) JSON(w io.Writer) error {
	out := jsonReport{
		OK: r.Failed() == 0, Scenarios: len(r.Results), Failed: r.Failed(), Seconds: r.Took.Seconds(),
		Results: []jsonResult{}, Coverage: slices.Clone(r.Coverage.Flows),
	}
	for i := range out.Coverage {
		c := &out.Coverage[i]
		c.Missing = slices.Clone(c.Missing)
		for j := range c.Missing {
			c.Missing[j].At = r.path(c.Missing[j].At)
		}
	}
	for i := range r.Results {
		res := &r.Results[i]
		j := jsonResult{
			Scenario: res.Scenario.Name, File: r.path(res.Scenario.Pos.File), Line: res.Scenario.Pos.Line,
			Passed: res.Passed(), Seconds: res.Took.Seconds(),
		}
		for _, f := range res.Failures {
			j.Failures = append(j.Failures, jsonFailure{r.path(f.Pos.File), f.Pos.Line, f.Pos.Column, f.Message, f.View})
		}
		out.Results = append(out.Results, j)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

type xmlSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Time     string     `xml:"time,attr"`
	Suites   []xmlSuite `xml:"testsuite"`
}

type xmlSuite struct {
	Name     string    `xml:"name,attr"`
	Tests    int       `xml:"tests,attr"`
	Failures int       `xml:"failures,attr"`
	Time     string    `xml:"time,attr"`
	Cases    []xmlCase `xml:"testcase"`
}

type xmlCase struct {
	Name    string      `xml:"name,attr"`
	Class   string      `xml:"classname,attr"`
	File    string      `xml:"file,attr"`
	Line    int         `xml:"line,attr"`
	Time    string      `xml:"time,attr"`
	Failure *xmlFailure `xml:"failure,omitempty"`
}

type xmlFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML: one suite per file.
func (r *Report) JUnit(w io.Writer) error {
	out := xmlSuites{Tests: len(r.Results), Failures: r.Failed(), Time: fmt.Sprintf("%.3f", r.Took.Seconds())}
	took := map[string]float64{}
	for i := range r.Results {
		res := &r.Results[i]
		file := r.path(res.Scenario.Pos.File)
		at := slices.IndexFunc(out.Suites, func(s xmlSuite) bool { return s.Name == file })
		if at < 0 {
			at = len(out.Suites)
			out.Suites = append(out.Suites, xmlSuite{Name: file})
		}
		s := &out.Suites[at]
		c := xmlCase{
			Name: res.Scenario.Name, Class: strings.TrimSuffix(file, Suffix), File: file, Line: res.Scenario.Pos.Line,
			Time: fmt.Sprintf("%.3f", res.Took.Seconds()),
		}
		if !res.Passed() {
			f := res.Failures[0]
			first, _, _ := strings.Cut(f.Message, "\n")
			c.Failure = &xmlFailure{Message: first, Text: "\n" + r.text(f)}
			s.Failures++
		}
		s.Tests++
		took[file] += res.Took.Seconds()
		s.Time = fmt.Sprintf("%.3f", took[file])
		s.Cases = append(s.Cases, c)
	}
	text, err := xml.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}
