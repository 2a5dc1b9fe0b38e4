package kernel

import (
	"cmp"
	"strings"
)

// compareVersions orders two Debian package versions as dpkg does: negative
// when a is older than b, zero when they are equal, positive otherwise.
func compareVersions(a, b string) int {
	aEpoch, a := splitEpoch(a)
	bEpoch, b := splitEpoch(b)
	if c := comparePart(aEpoch, bEpoch); c != 0 {
		return c
	}
	aUpstream, aRevision := splitRevision(a)
	bUpstream, bRevision := splitRevision(b)
	if c := comparePart(aUpstream, bUpstream); c != 0 {
		return c
	}
	return comparePart(aRevision, bRevision)
}

func splitEpoch(v string) (epoch, rest string) {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		return epoch, rest
	}
	return "", v
}

func splitRevision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

// comparePart compares by turns a run of other characters and a number, until
// they differ.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutRun(a, false)
		y, b = cutRun(b, false)
		if c := compareText(x, y); c != 0 {
			return c
		}
		x, a = cutRun(a, true)
		y, b = cutRun(b, true)
		if c := compareDigits(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// cutRun splits s where its leading run of digits, or of anything but digits,
// ends.
func cutRun(s string, digits bool) (run, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool { return isDigit(r) != digits })
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

// compareText compares with a tilde before the end, the end before letters,
// and letters before the rest.
func compareText(a, b string) int {
	for i := range max(len(a), len(b)) {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case 'a' <= s[i] && s[i] <= 'z', 'A' <= s[i] && s[i] <= 'Z':
		return int(s[i])
	default:
		return int(s[i]) + 256
	}
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
