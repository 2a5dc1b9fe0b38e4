package live

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/resolve/near"
)

// readExpression joins the words that are no flags, as tcpdump does. One that
// looks like a command is not taken for a host's name.
func readExpression(words []string, commands []*cli.Command) (string, error) {
	if len(words) != 1 {
		return strings.Join(words, " "), nil
	}
	if words[0] == "help" {
		return "", console.BadUsage(errors.New(`"help" is no command`), "droptrace --help lists the flags")
	}
	var names []string
	for _, c := range commands {
		names = append(names, c.Names()...)
	}
	if n := near.Names(words[0], names); len(n) > 0 {
		return "", console.BadUsage(fmt.Errorf("%q is no command", words[0]), "did you mean "+console.Either(n)+"?")
	}
	return words[0], nil
}
