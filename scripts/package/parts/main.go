// Command parts lists what a program is made of, for those who look for known faults:
// a CycloneDX document of the modules that Go has recorded in the program itself.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: parts VERSION PROGRAM")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "parts:", err)
		os.Exit(1)
	}
}

func run(version, path string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(list(version, info, sha256.Sum256(program)))
}

// document is CycloneDX 1.6, as far as it is needed.
type document struct {
	Format   string `json:"bomFormat"`
	Spec     string `json:"specVersion"`
	Version  int    `json:"version"`
	Metadata struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type component struct {
	Ref     string `json:"bom-ref"`
	Type    string `json:"type"` // application or library
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

// list has no time and no number of its own: the same program gives the same bytes.
func list(version string, info *debug.BuildInfo, sum [sha256.Size]byte) document {
	d := document{Format: "CycloneDX", Spec: "1.6", Version: 1}
	program := named("application", info.Main.Path, "v"+version)
	program.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum[:])}}
	d.Metadata.Component = program
	d.Components = append(d.Components, named("library", "std", strings.TrimPrefix(info.GoVersion, "go")))
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		d.Components = append(d.Components, named("library", m.Path, m.Version))
	}
	all := dependency{Ref: program.Ref}
	for _, c := range d.Components {
		all.On = append(all.On, c.Ref)
	}
	d.Dependencies = []dependency{all}
	return d
}

// named has the name that databases of faults know it by.
func named(kind, path, version string) component {
	purl := "pkg:golang/" + path + "@" + version
	return component{Ref: purl, Type: kind, Name: path, Version: version, PURL: purl}
}
