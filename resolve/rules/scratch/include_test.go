package scratch

import (
	"regexp"
	"testing"
)

// FuzzIncludeLine looks at what passes as a file of nft's with a scanner of its own:
// quoted strings and comments are taken out first, as nft's longest match does.
func FuzzIncludeLine(f *testing.F) {
	f.Add("table ip t {\n comment \"include\" # include\n}\n")
	f.Add("include \"/etc/shadow\"\n")
	f.Add("a\"\n#\"include\n")
	token := regexp.MustCompile(`"[^"]*"|#[^\n]*|include`)
	f.Fuzz(func(t *testing.T, text string) {
		included := false
		for _, m := range token.FindAllString(text, -1) {
			included = included || m == "include"
		}
		if got := includeLine(text) > 0; got != included {
			t.Errorf("%q: includes a file: %v, want %v", text, got, included)
		}
	})
}
