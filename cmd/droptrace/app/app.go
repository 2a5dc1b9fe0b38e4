// Package app is the whole command line of droptrace. main runs it; completion and
// the manual pages are made from it, so that they cannot differ from --help.
package app

import (
	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/conntrack"
	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/cmd/droptrace/doctor"
	"github.com/droptrace/droptrace/cmd/droptrace/explain"
	"github.com/droptrace/droptrace/cmd/droptrace/live"
	"github.com/droptrace/droptrace/cmd/droptrace/read"
	"github.com/droptrace/droptrace/cmd/droptrace/source"
)

// New lists the commands. Each has a folder of its own.
func New(t console.Terminal, open source.Opener) *cli.App {
	return live.App(t, open, read.Recordings(t), []*cli.Command{
		conntrack.Command(t, open),
		explain.Command(t),
		doctor.Command(t),
		read.Command(t),
	})
}
