package console

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

// NewCommand builds one of droptrace's commands: its flags stand behind its name,
// and what is no flag is refused. about is its line in the list of commands.
func NewCommand(name, about, description string, flags []cli.Flag, action func(*cli.Context) error) *cli.Command {
	usage := "droptrace " + name + " [flags]"
	return &cli.Command{
		Name:                   name,
		Usage:                  about,
		UsageText:              usage,
		Description:            description,
		Flags:                  flags,
		HideHelpCommand:        true,
		UseShortOptionHandling: true,
		CustomHelpTemplate:     HelpText(&cli.App{UsageText: usage, Description: description, Flags: flags}), // a template with no actions
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			return UsageError(flags, err)
		},
		Action: func(c *cli.Context) error {
			if err := onlyFlags(c, name); err != nil {
				return err
			}
			return action(c)
		},
	}
}

// onlyFlags refuses words that are no flags, and flags that stand before the
// command's name: neither would be acted on.
func onlyFlags(c *cli.Context, name string) error {
	for _, before := range c.Lineage()[1:] {
		if set := before.LocalFlagNames(); len(set) > 0 {
			return BadUsage(fmt.Errorf("%s stands before %s, where it means nothing", Dashed(set[0]), name),
				"the flags of "+name+" follow it, see droptrace "+name+" --help")
		}
	}
	if word := c.Args().First(); word != "" {
		return BadUsage(fmt.Errorf("%q is no flag of %s", word, name), "see droptrace "+name+" --help")
	}
	return nil
}

// Run runs the command line and returns the exit code.
func Run(app *cli.App, t Terminal, args []string) int {
	ctx, stop := Signals(context.Background())
	defer stop()
	err := app.RunContext(ctx, flagsFirst(app, args))
	if exit, ok := err.(cli.ExitCoder); ok { // cli's own: --help with a topic
		err = BadUsage(errors.New(exit.Error()), "droptrace --help lists the flags")
	}
	if err != nil && !silent(err) {
		printError(t.Stderr, t.Style(t.Stderr), err)
	}
	return exitCode(err)
}
