package module

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droptrace/droptrace/test/nstest"
)

// fakeRoot makes files with that content below a directory.
func fakeRoot(t *testing.T, files map[string]string) Files {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Files(dir)
}

func TestInKernel(t *testing.T) {
	const (
		modules  = "proc/modules"
		disabled = "proc/sys/kernel/modules_disabled"
		btf      = "sys/kernel/btf/vmlinux"
		kallsyms = "proc/kallsyms"
	)
	others := "nf_tables_of_another 1 0 - Live 0x0\nnfnetlink 20480 1 - Live 0x0\n"
	// Over the border between two pieces of the file.
	far := strings.Repeat("x", 256<<10-5) + "\x00nft_do_chain\x00"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"kernel without modules", map[string]string{"proc/self": ""}, true},
		{"loaded", map[string]string{modules: others + "nf_tables 300000 2 nft_compat, Live 0x0\n"}, true},
		{"absent", map[string]string{modules: others, btf: "\x00nft_do_chain_of_another\x00"}, false},
		{"built in", map[string]string{modules: "", btf: "\x00a\x00nft_do_chain\x00b\x00"}, true},
		{"built in, far into BTF", map[string]string{modules: "", btf: far}, true},
		{"modules disabled", map[string]string{modules: others, disabled: "1\n", btf: ""}, true},
		{"modules not disabled", map[string]string{modules: others, disabled: "0\n", btf: ""}, false},
		{"built in, no BTF", map[string]string{modules: others, kallsyms: "0 T nft_do_chain\n0 T x\n"}, true},
		{"absent, no BTF", map[string]string{modules: others, kallsyms: "0 T nft_do_chain\t[nf_tables]\n"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := fakeRoot(t, test.files).InKernel("nf_tables", "nft_do_chain")
			if err != nil || got != test.want {
				t.Errorf("in kernel: %v, %v; want %v", got, err, test.want)
			}
		})
	}
	// With no way to know, it must not be guessed.
	for name, files := range map[string]map[string]string{
		"no proc":             {},
		"no BTF, no kallsyms": {modules: others},
	} {
		if got, err := fakeRoot(t, files).InKernel("nf_tables", "nft_do_chain"); err == nil {
			t.Errorf("%s: in kernel: %v, no error", name, got)
		}
	}
}

func TestInThisKernel(t *testing.T) {
	nstest.SkipUnprivileged(t)
	// In a namespace that ends with the program; now nf_tables is in the kernel.
	if out, err := exec.Command("unshare", "-n", "nft", "add table ip t").CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	if ok, err := Files("/").InKernel("nf_tables", "nft_do_chain"); err != nil || !ok {
		t.Errorf("in kernel: %v, %v", ok, err)
	}
	// The symbol is found in this kernel's own image, where nf_tables is built in.
	if _, err := os.Stat("/proc/modules"); os.IsNotExist(err) {
		if ok, err := contains("/sys/kernel/btf/vmlinux", "\x00nft_do_chain\x00"); err != nil || !ok {
			t.Errorf("nft_do_chain in BTF: %v, %v", ok, err)
		}
		if ok, err := contains("/proc/kallsyms", " nft_do_chain\n"); err != nil || !ok {
			t.Errorf("nft_do_chain in kallsyms: %v, %v", ok, err)
		}
	}
}

func BenchmarkInBTF(b *testing.B) {
	for b.Loop() {
		contains("/sys/kernel/btf/vmlinux", "\x00nft_no_such_function\x00")
	}
}
