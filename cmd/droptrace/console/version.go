package console

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/droptrace/droptrace/resolve/drop"
)

// version is set by the linker (-X) and by nothing else: the release's number, or
// what git describe says of the tree. Empty where droptrace was built without make.
var version string

// PrintVersion also names the JSON schema: scripts depend on both.
func PrintVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "droptrace %s, JSON schema %d\n", Version(), drop.Schema)
	return err
}

// Version is the build's: the linker's, else what Go recorded of the module.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown version"
}
