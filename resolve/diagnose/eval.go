package diagnose

import (
	"github.com/droptrace/droptrace/resolve/replay"
	"github.com/droptrace/droptrace/resolve/ruleset"
)

func (d *diagnosis) replay(rulesets []*ruleset.Ruleset, p *replay.Packet, steps bool) replay.Result {
	return replay.Result{}
}

func (d *diagnosis) match(m *ruleset.Match) replay.Truth {
	return replay.Unknown
}
