package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	format
}

type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// buildInfo reads what the toolchain wrote into the binary.
func buildInfo() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// Run prints the build.
func (c versionCmd) Run(w *world) error {
	b := buildInfo()
	if c.json() {
		return w.printJSON(b)
	}
	fmt.Fprintf(w.out, "stile %s %s %s\n", b.Version, b.Go, b.Platform)
	if b.Revision != "" {
		fmt.Fprintf(w.out, "revision %s of %s\n", b.Revision, b.Time)
	}
	return nil
}
