package console

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/droptrace/droptrace/resolve/drop"
)

// PrintVersion also names the JSON schema: scripts depend on both.
func PrintVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "droptrace %s, JSON schema %d\n", Version(), drop.Schema)
	return err
}

// Version is the build's.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown version"
}
