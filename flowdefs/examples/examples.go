// Package examples holds the definitions that a server without any of its own runs.
package examples

import "embed"

// FS holds the definition files in its root: load them with flowdefs.Load(FS, ".", catalogue).
//
//go:embed *.yaml
var FS embed.FS

// Verdicts are what package prove finds of the examples, so that a server without
// definitions of its own need not prove them first. A test recomputes them.
//
//go:embed verdicts.json
var Verdicts []byte
