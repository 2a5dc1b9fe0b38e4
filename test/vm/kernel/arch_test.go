package kernel

import "testing"

func TestArchOfAName(t *testing.T) {
	for name, want := range map[string]string{
		"6.12": AMD64, "6.12-rt": AMD64, "newest": AMD64,
		"6.12-arm64": ARM64, "newest-arm64": ARM64, "6.12-arm64-16k": ARM64,
	} {
		if got := (Kernel{Name: name}).Arch(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestEveryArmKernelHasItsFlavour(t *testing.T) {
	tests := []struct {
		name, pkg string
		want      bool
	}{
		{"5.10-arm64", "linux-image-5.10.0-46-cloud-arm64", true},
		{"5.10-arm64", "linux-image-5.10.0-46-arm64", false},
		{"6.12-arm64", "linux-image-6.12.117+deb12-cloud-arm64", true},
		{"6.12-arm64", "linux-image-6.12.117+deb12-cloud-amd64", false},
		{"6.12-arm64-16k", "linux-image-6.12.117+deb13-arm64-16k", true},
		{"6.12-arm64-16k", "linux-image-6.12.117+deb13-cloud-arm64", false},
		{"6.12-arm64-16k", "linux-image-6.12.117+deb13-rt-arm64-16k", false},
		{"6.12", "linux-image-6.12.117+deb12-cloud-arm64", false},
	}
	for _, tt := range tests {
		s, err := sourceOf(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := s.releaseOf(tt.pkg); got != tt.want {
			t.Errorf("%s takes %s: %v, want %v", tt.name, tt.pkg, got, tt.want)
		}
	}
}
