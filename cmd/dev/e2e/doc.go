// Package e2e holds Stile against a real browser: Chromium, driven through the
// DevTools protocol, with its virtual authenticator.
//
// It is a module of its own, so that whoever builds Stile downloads nothing of
// this. "go run ./cmd/dev test" installs the browser and runs the tests.
package e2e
