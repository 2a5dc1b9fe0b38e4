package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/droptrace/droptrace/resolve/drop"
)

// printVersion also names the JSON schema: scripts depend on both.
func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "droptrace %s, JSON schema %d\n", programVersion(), drop.Schema)
	return err
}

func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown version"
}
