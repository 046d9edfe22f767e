// Package docs_test holds README.md and the pages in docs against the program:
// what they show runs, and what the program has they name.
//
// The language of a fenced block says what is done with it:
//
//	yaml           definitions: they load with the built-in step types
//	yaml error     definitions that do not load; the next block, of language text, is what the loader says
//	yaml config    a configuration file: its keys exist
//	yaml check     likewise, and the next block is what the program prints: a test of cmd/stile holds it
//	yaml fragment  a part of something: nothing
//	json           parses
//
// A block of definitions may leave out what it is not about. If it has no
// section "providers" it gets the provider corporate; if it has no section
// "flows", the flow sign-on; if it has neither flows nor targets, the target
// accounts too: see lent.
package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

// page is one file of documentation.
type page struct {
	name   string // below the root, with slashes
	text   string
	blocks []block
}

// block is one fenced block.
type block struct {
	language string
	line     int // of its first line of text
	text     string
}

// pages reads README.md and everything in docs.
func pages(t *testing.T) []page {
	t.Helper()
	tree := os.DirFS(root)
	names := []string{"README.md"}
	err := fs.WalkDir(tree, "docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".md" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []page
	for _, name := range names {
		text := source(t, name)
		all = append(all, page{name, text, blocks(t, name, text)})
	}
	return all
}

// source reads a file of the repository.
func source(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(path.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func blocks(t *testing.T, name, text string) []block {
	t.Helper()
	var all []block
	open := false
	for i, line := range strings.Split(text, "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !open:
			all = append(all, block{language: strings.TrimSpace(language), line: i + 2})
			open = true
		case fence:
			open = false
		case open:
			all[len(all)-1].text += line + "\n"
		}
	}
	if open {
		t.Errorf("%s: a block is not closed", name)
	}
	return all
}

// prose is a page without its blocks.
func (p page) prose() string {
	var out []string
	open := false
	for line := range strings.SplitSeq(p.text, "\n") {
		if strings.HasPrefix(line, "```") {
			open = !open
			continue
		}
		if !open {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

var (
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the fragments that links may name: the headings as GitHub spells them.
func (p page) anchors() map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(p.prose(), -1) {
		all[strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}
