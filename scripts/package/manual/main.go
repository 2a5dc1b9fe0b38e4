// Command manual writes droptrace's manual pages, one a command, from the command line
// itself: what --help prints is what the pages say.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/droptrace/droptrace/cmd/droptrace/app"
	"github.com/droptrace/droptrace/cmd/droptrace/console"
)

func main() {
	dir := flag.String("dir", ".", "write the pages here")
	version := flag.String("version", "", "that the pages are of")
	date := flag.Int64("date", 0, "of the pages, in seconds since 1970")
	flag.Parse()
	if err := write(*dir, *version, time.Unix(*date, 0)); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

func write(dir, version string, date time.Time) error {
	for _, p := range pages(app.New(console.Terminal{}, nil)) {
		if err := os.WriteFile(filepath.Join(dir, p.name+".8"), []byte(p.roff(version, date)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
