package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// docs/steps.md is what the code says of its step types now.
func TestStepsPageIsCurrent(t *testing.T) {
	t.Parallel()
	var now, trouble bytes.Buffer
	if code := run([]string{"steps", "--format", "markdown"}, strings.NewReader(""), &now, &trouble); code != 0 {
		t.Fatalf("%d %s", code, trouble.String())
	}
	page, err := os.ReadFile("../../docs/steps.md")
	if err != nil {
		t.Fatal(err)
	}
	if now.String() != string(page) {
		t.Error("docs/steps.md is not current: go run ./cmd/dev gen")
	}
}
