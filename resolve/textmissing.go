package resolve

import (
	"errors"

	"github.com/droptrace/droptrace/resolve/host/distribution"
	"github.com/droptrace/droptrace/resolve/host/program"
	"github.com/droptrace/droptrace/resolve/rules/nftables"
)

// textMissing says why the text of a rule is not known, and what gives it where that
// is a package of this distribution.
func textMissing(err error) string {
	if e, ok := errors.AsType[*program.NotInstalledError](err); ok {
		return e.Program + " is not installed: " + distribution.Here().Install(e.Program)
	}
	if e, ok := errors.AsType[*nftables.OtherVersionError](err); ok {
		return e.Error() + "; a rule may need the version of nft that made it"
	}
	return err.Error()
}
