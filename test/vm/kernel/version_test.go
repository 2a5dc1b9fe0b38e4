package kernel

import "testing"

func TestCompareVersions(t *testing.T) {
	// Each is older than the next.
	ordered := []string{
		"5.9-1",
		"5.10~rc1-1",
		"5.10.9-1",
		"5.10.99-1",
		"5.10.218-1",
		"5.10.262-1",
		"6.1.192-1",
		"6.1.192-2",
		"6.12.43-1~bpo12+1",
		"6.12.43-1",
		"6.12.117-1~deb12u1",
		"6.12.117-1~deb12u2",
		"6.12.117-1",
		"6.12.117a-1",
		"6.12.117+deb13-1",
		"7.2.13-1",
		"1:2.0-1",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			got := compareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestCompareVersionsIgnoresLeadingZeros(t *testing.T) {
	if c := compareVersions("6.01-1", "6.1-01"); c != 0 {
		t.Errorf("got %d, want 0", c)
	}
}
