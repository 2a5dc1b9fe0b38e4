package diagnose

import (
	"regexp"
	"strings"
)

var counterText = regexp.MustCompile(`\bcounter packets [0-9]+ bytes [0-9]+`)

// nftStatement makes of a rule as nft lists it what nft reads: without handle,
// counts and comment. ok is false for what it does not read back (xt matches), or
// where a comment with a quote in it, which only a program other than nft can
// write, may be read as more than a comment.
func nftStatement(text, comment string) (statement string, ok bool) {
	text, _, _ = strings.Cut(text, " # handle ")
	text = strings.TrimSpace(text)
	if strings.Contains(comment, `"`) {
		return "", false
	}
	if comment != "" {
		if text, ok = strings.CutSuffix(text, ` comment "`+comment+`"`); !ok {
			return "", false
		}
	}
	if strings.ContainsAny(text, ";\n#\\") || strings.Count(text, `"`)%2 != 0 {
		return "", false
	}
	for _, word := range strings.Fields(text) {
		if word == "xt" || word == "unknown" {
			return "", false
		}
	}
	return counterText.ReplaceAllString(text, "counter"), true
}
