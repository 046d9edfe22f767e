// Package examples holds the definitions that a server without any of its own runs.
package examples

import "embed"

// FS holds the definition files in its root: load them with flowdefs.Load(FS, ".", catalogue).
//
//go:embed *.yaml
var FS embed.FS
