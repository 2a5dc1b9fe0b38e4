package initramfs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// header is what the format says of an entry, its fields spelled out.
func header(inode, mode, size, nameSize string) string {
	return "070701" + inode + mode + "00000000" + "00000000" + "00000001" + "00000000" + size +
		"00000000" + "00000000" + "00000000" + "00000000" + nameSize + "00000000"
}

func TestArchiveBytes(t *testing.T) {
	var got bytes.Buffer
	a := newArchive(&got)
	a.data("/etc/hi", 0o644, "hello")
	a.symlink("/sh", "dash")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	want := header("00000001", "000041ed", "00000000", "00000004") + "etc\x00\x00\x00" +
		header("00000002", "000081a4", "00000005", "00000007") + "etc/hi\x00\x00\x00\x00" + "hello\x00\x00\x00" +
		header("00000003", "0000a1ff", "00000004", "00000003") + "sh\x00\x00\x00\x00" + "dash" +
		header("00000004", "00000000", "00000000", "0000000b") + "TRAILER!!!\x00\x00\x00\x00"
	if got.String() != want {
		t.Errorf("got:\n%q\nwant:\n%q", got.String(), want)
	}
	if got.Len()%4 != 0 {
		t.Errorf("length %d is not a multiple of four", got.Len())
	}
}

func TestArchiveAddsFoldersOnce(t *testing.T) {
	var got bytes.Buffer
	a := newArchive(&got)
	a.data("/a/b/one", 0o644, "")
	a.data("/a/b/two", 0o644, "")
	a.dir("/a/b")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(got.String(), "a/b\x00"); n != 1 {
		t.Errorf("/a/b is there %d times", n)
	}
}

func TestArchiveRefusesAName(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]func(*archive){
		"twice": func(a *archive) {
			a.data("/x", 0o644, "")
			a.data("/./x", 0o644, "")
		},
		"of a host file that is missing": func(a *archive) { a.copy("/x", filepath.Join(dir, "missing")) },
		"of a host file that is no file": func(a *archive) { a.copy("/x", dir) },
	}
	for name, add := range tests {
		t.Run(name, func(t *testing.T) {
			a := newArchive(&bytes.Buffer{})
			add(a)
			if err := a.close(); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestArchiveKeepsPermissions(t *testing.T) {
	host := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(host, []byte("x"), 0o750); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	a := newArchive(&got)
	a.copy("/tool", host)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.String(), header("00000001", "000081e8", "00000001", "00000005")) {
		t.Errorf("got %q", got.String())
	}
}
