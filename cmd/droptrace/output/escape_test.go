package output

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ name, in, want, ascii string }{
		{"plain text stays", `-A INPUT --comment "a\"b" -j DROP`, `-A INPUT --comment "a\"b" -j DROP`, `-A INPUT --comment "a\"b" -j DROP`},
		{"terminal sequence", "\x1b[2J\x07", `\x1b[2J\x07`, `\x1b[2J\x07`},
		{"new lines", "a\r\n\tb", `a\r\n\tb`, `a\r\n\tb`},
		{"delete and C1", "\x7f\u009b31m", `\x7f\u009b31m`, `\x7f\u009b31m`},
		{"invalid UTF-8", "a\xff\xc3", `a\xff\xc3`, `a\xff\xc3`},
		{"bidi override and isolates", "\u202ea\u2066b\u200f", `\u202ea\u2066b\u200f`, `\u202ea\u2066b\u200f`},
		{"invisible", "\u200b\ufeff\u00a0\u2028", `\u200b\ufeff\u00a0\u2028`, `\u200b\ufeff\u00a0\u2028`},
		{"other scripts", "größe 日本", "größe 日本", `gr\u00f6\u00dfe \u65e5\u672c`},
		{"beyond the first plane", "\U0001f600\U000e0041", `😀\U000e0041`, `\U0001f600\U000e0041`},
		{"replacement character itself", "\ufffd", "\ufffd", `\ufffd`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Escape(tt.in, false); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := Escape(tt.in, true); got != tt.ascii {
				t.Errorf("ASCII: got %q, want %q", got, tt.ascii)
			}
		})
	}
}

// harmless reports whether a terminal would only print s.
func harmless(s string, ascii bool) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !strconv.IsPrint(r) || ascii && r > '~' {
			return false
		}
	}
	return true
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a", "\x00", "\x1b]0;x\x07", "\u202e", "\xff\xfe", "日本", "\\x1b", "\u009b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, ascii := range []bool{false, true} {
			got := Escape(s, ascii)
			if !harmless(got, ascii) {
				t.Fatalf("Escape(%q, %v) = %q", s, ascii, got)
			}
			if harmless(s, ascii) && got != s {
				t.Fatalf("harmless %q was changed to %q", s, got)
			}
			if Escape(got, ascii) != got {
				t.Fatalf("%q is escaped twice", got)
			}
		}
		if strings.ContainsRune(Escape(s, false), glue) {
			t.Fatalf("glue survives in %q", s)
		}
	})
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "a\"\\", "\x00\x1f\x7f", "\u202e\u009b", "\xff", "1234567\x7f", "1234567\x1f2", "12345678\"\x80", "😀\U000e0041", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string(appendString(nil, s))
		if !harmless(got, false) {
			t.Fatalf("%q is not harmless", got)
		}
		var back, want string
		if err := json.Unmarshal([]byte(got), &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		std, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(std, &want); err != nil {
			t.Fatal(err)
		}
		if back != want {
			t.Fatalf("got %q, encoding/json %q", back, want)
		}
	})
}

// FuzzWrap holds that wrapping loses no word and ends.
func FuzzWrap(f *testing.F) {
	f.Add("drop", "input eth0\x00· rule\x007", 20, 10, " \\")
	f.Add("", "a  b c", 3, 2, "")
	f.Fuzz(func(t *testing.T, label, text string, columns, indent int, carry string) {
		label, carry = Escape(label, false), Escape(carry, false)
		text = strings.Join(strings.Split(text, "\x00"), " ")
		text = Escape(text, false)
		if columns > 300 || indent > 300 || indent < 0 || carry != "" {
			return
		}
		l := line{label: label, text: text, indent: indent, first: indent}
		got := string(Style{Width: columns}.appendLine(nil, l))
		if want := strings.Join(strings.Fields(label+" "+text), " "); strings.Join(strings.Fields(got), " ") != want {
			t.Fatalf("got %q, want the words of %q", got, want)
		}
	})
}
