// Package distribution says how a program is installed on this machine: the command
// of its distribution, with its name for the package.
package distribution

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strings"
)

// Distribution is one that is known, or none. The zero value is none.
type Distribution struct {
	command  string // that installs a package
	packages map[string]string
}

// Here is the distribution whose programs are run: that of the root file system that
// droptrace itself runs in, by os-release(5).
func Here() Distribution {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if f, err := os.Open(path); err == nil {
			defer f.Close()
			return Parse(f)
		}
	}
	return Distribution{}
}

// Parse reads an os-release file. ID comes first, then what ID_LIKE says is near, in
// its order.
func Parse(r io.Reader) Distribution {
	ids := make(map[string][]string)
	lines := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		ids[name] = strings.Fields(strings.Trim(value, `"'`))
	}
	for _, id := range slices.Concat(ids["ID"], ids["ID_LIKE"]) {
		if d, ok := known(id); ok {
			return d
		}
	}
	return Distribution{}
}

// known are the distributions by their ID. Names of packages that differ from package's
// are given.
func known(id string) (Distribution, bool) {
	switch id {
	case "debian", "ubuntu":
		return Distribution{command: "apt install"}, true
	case "fedora", "rhel", "centos":
		return Distribution{command: "dnf install", packages: map[string]string{
			"iptables-nft": "iptables-nft", "iptables-legacy": "iptables-legacy", "iptables": "iptables-nft",
		}}, true
	case "suse", "opensuse", "sles":
		return Distribution{command: "zypper install"}, true
	case "alpine":
		return Distribution{command: "apk add", packages: map[string]string{"iptables-legacy": "iptables-legacy"}}, true
	case "arch":
		return Distribution{command: "pacman -S"}, true
	}
	return Distribution{}, false
}

// Install is the command that installs the program, or, of an unknown distribution,
// words that name the package which has it elsewhere.
func (d Distribution) Install(program string) string {
	kind := kindOf(program)
	name := d.packages[kind]
	if name == "" {
		name = commonName(kind)
	}
	if d.command == "" {
		return "install " + name
	}
	return d.command + " " + name
}

// kindOf takes the programs of iptables together, which come in one package for each of
// its two backends.
func kindOf(program string) string {
	for _, tables := range []string{"iptables", "ip6tables", "arptables", "ebtables"} {
		rest, ok := strings.CutPrefix(program, tables)
		switch {
		case !ok || rest != "" && rest[0] != '-':
		case strings.HasPrefix(rest, "-nft"):
			return "iptables-nft"
		case strings.HasPrefix(rest, "-legacy"):
			return "iptables-legacy"
		default:
			return "iptables"
		}
	}
	return program
}

// commonName is what most distributions call the package.
func commonName(kind string) string {
	switch kind {
	case "nft":
		return "nftables"
	case "iptables-nft", "iptables-legacy":
		return "iptables"
	}
	return kind
}
