package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/tracer/filter"
)


func correlateFlags() []cli.Flag { return nil }

func correlateAction(c *cli.Context, t terminal, o options, f *filter.Filter, files []string) error {
	return errors.New("not yet")
}
