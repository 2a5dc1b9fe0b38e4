package kernel

import (
	"slices"
	"testing"
)

func TestNewestChoosesByPackageVersion(t *testing.T) {
	tests := []struct {
		name    string
		kernel  string
		offered []debPackage
		want    []debPackage
	}{
		{
			name:   "numbers are not compared as text",
			kernel: "6.12",
			offered: []debPackage{
				{"linux-image-6.12.117+deb12-cloud-amd64", "6.12.117-1~deb12u1"},
				{"linux-image-6.12.43+deb12-cloud-amd64", "6.12.43-1~bpo12+1"},
				{"linux-image-6.12.95+deb12-cloud-amd64", "6.12.95-1~deb12u1"},
			},
			want: []debPackage{{"linux-image-6.12.117+deb12-cloud-amd64", "6.12.117-1~deb12u1"}},
		},
		{
			name:   "only images of the flavour count",
			kernel: "5.10",
			offered: []debPackage{
				{"linux-image-5.10.0-46-cloud-amd64", "5.10.262-1"},
				{"linux-image-5.10.0-47-cloud-amd64-unsigned", "5.10.263-1"},
				{"linux-image-5.10.0-47-amd64", "5.10.263-1"},
				{"linux-image-5.10-cloud-amd64", "5.10.263-1"},
				{"linux-image-6.1.0-0.deb11.52-cloud-amd64", "6.1.192-1~deb11u1"},
			},
			want: []debPackage{{"linux-image-5.10.0-46-cloud-amd64", "5.10.262-1"}},
		},
		{
			name:   "a split kernel comes with its modules",
			kernel: "newest",
			offered: []debPackage{
				{"linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-binary-unsigned-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
			},
			want: []debPackage{
				{"linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
			},
		},
		{
			name:   "the generic flavour is none of the others",
			kernel: "5.10-generic",
			offered: []debPackage{
				{"linux-image-5.10.0-47-cloud-amd64", "5.10.263-1"},
				{"linux-image-5.10.0-47-rt-amd64", "5.10.263-1"},
				{"linux-image-5.10-amd64", "5.10.263-1"},
				{"linux-image-5.10.0-46-amd64", "5.10.262-1"},
			},
			want: []debPackage{{"linux-image-5.10.0-46-amd64", "5.10.262-1"}},
		},
		{
			name:   "a flavour of a split kernel comes with its own modules",
			kernel: "7.2-rt",
			offered: []debPackage{
				{"linux-binary-7.2.13+deb14-rt-amd64", "7.2.13-1"},
				{"linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-binary-7.2.12+deb14-rt-amd64", "7.2.12-1"},
				{"linux-modules-7.2.12+deb14-rt-amd64", "7.2.12-1"},
			},
			want: []debPackage{
				{"linux-binary-7.2.12+deb14-rt-amd64", "7.2.12-1"},
				{"linux-modules-7.2.12+deb14-rt-amd64", "7.2.12-1"},
			},
		},
		{
			name:   "the newest may be in backports",
			kernel: "newest",
			offered: []debPackage{
				{"linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"},
				{"linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"},
			},
			want: []debPackage{
				{"linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"},
				{"linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1~bpo13+1"},
			},
		},
		{
			name:   "an image whose modules are not there yet is passed over",
			kernel: "newest",
			offered: []debPackage{
				{"linux-binary-7.2.14+deb14-cloud-amd64", "7.2.14-1"},
				{"linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
			},
			want: []debPackage{
				{"linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
				{"linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src, err := sourceOf(tt.kernel)
			if err != nil {
				t.Fatal(err)
			}
			got, err := src.newest(tt.offered)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNewestRefusesWhenNothingFits(t *testing.T) {
	src, err := sourceOf("6.1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := src.newest([]debPackage{{"linux-image-6.1-cloud-amd64", "6.1.192-1"}}); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}

func TestParseMadison(t *testing.T) {
	out := `linux-image-6.1.0-56-cloud-amd64 |  6.1.192-2 | http://deb.debian.org/debian-security bookworm-security/main amd64 Packages
N: something else

linux-binary-7.2.13+deb14-cloud-amd64 |   7.2.13-1 | http://deb.debian.org/debian sid/main amd64 Packages
`
	want := []debPackage{
		{"linux-image-6.1.0-56-cloud-amd64", "6.1.192-2"},
		{"linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"},
	}
	if got := parseMadison(out); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSourcesListKeepsSecurityBesideTheMirror(t *testing.T) {
	got := sourcesList("http://mirror.test/debian/", []string{"bookworm", "bookworm-security"})
	want := "deb [signed-by=" + keyring + "] http://mirror.test/debian bookworm main\n" +
		"deb [signed-by=" + keyring + "] http://mirror.test/debian-security bookworm-security main\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
