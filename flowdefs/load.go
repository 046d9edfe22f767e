package flowdefs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Problem is one mistake in a definition.
type Problem struct {
	Pos     Pos
	Message string
}

// Error returns "file:line:column: message".
func (p Problem) Error() string { return fmt.Sprintf("%s: %s", p.Pos, p.Message) }

// Problems is every mistake of all files of one load, ordered by file and position.
type Problems []Problem

// Error lists all problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

var errUnbuilt = errors.New("flowdefs: unbuilt")

// Load reads every *.yaml file (not *.test.yaml) of dir in fsys. All mistakes of all files come back
// together as [Problems]; a set is returned only if there is none.
func Load(fsys fs.FS, dir string, cat Catalogue) (*Set, error) { return nil, errUnbuilt }

// Parse reads the canonical text of one flow ([Flow].Source), as kept with a
// run that is pinned to it. References to providers are not checked again.
func Parse(source []byte, cat Catalogue) (*Flow, error) { return nil, errUnbuilt }

// SchemaFor returns the JSON Schema of T, a struct with `json` (answers) or `yaml` (configuration) tags.
func SchemaFor[T any]() json.RawMessage { return nil }
