package initramfs

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// File types in the mode of an entry, as in stat(2).
const (
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeSymlink = 0o120000
)

// An archive writes cpio in the "newc" format, the only one that the kernel
// reads. All is owned by root and dated 1970, so that equal contents give
// equal archives.
type archive struct {
	w     *bufio.Writer
	inode int
	names map[string]bool
	err   error // the first one; nothing is written after it
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriterSize(w, 1<<20), names: make(map[string]bool)}
}

// has reports whether the archive has an entry of that name. Names are
// absolute.
func (a *archive) has(name string) bool { return a.names[path.Clean(name)] }

// dir adds a folder, and those it is in, where they are missing.
func (a *archive) dir(name string) {
	name = path.Clean(name)
	if name == "/" || a.names[name] {
		return
	}
	a.entry(name, typeDir|0o755, 0)
}

func (a *archive) symlink(name, target string) {
	a.entry(name, typeSymlink|0o777, int64(len(target)))
	a.write(strings.NewReader(target), int64(len(target)))
}

func (a *archive) data(name string, perm fs.FileMode, data string) {
	a.entry(name, typeRegular|uint32(perm.Perm()), int64(len(data)))
	a.write(strings.NewReader(data), int64(len(data)))
}

// copy adds a file of the host.
func (a *archive) copy(name, host string) {
	if a.err != nil {
		return
	}
	f, err := os.Open(host)
	if err != nil {
		a.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.err = err
		return
	}
	if !info.Mode().IsRegular() {
		a.err = fmt.Errorf("%s is not a regular file", host)
		return
	}
	a.entry(name, typeRegular|uint32(info.Mode().Perm()), info.Size())
	a.write(f, info.Size())
}

// close ends the archive and returns the first error met.
func (a *archive) close() error {
	a.header("TRAILER!!!", 0, 0)
	if a.err != nil {
		return a.err
	}
	return a.w.Flush()
}

// entry begins an entry; its content follows.
func (a *archive) entry(name string, mode uint32, size int64) {
	name = path.Clean(name)
	a.dir(path.Dir(name))
	if a.err == nil && a.names[name] {
		a.err = fmt.Errorf("%s is there twice", name)
	}
	// The format has eight hexadecimal digits for a size.
	if a.err == nil && size > 1<<32-1 {
		a.err = fmt.Errorf("%s is too large", name)
	}
	a.names[name] = true
	a.header(strings.TrimPrefix(name, "/"), mode, size)
}

func (a *archive) header(name string, mode uint32, size int64) {
	a.inode++
	fields := []int64{
		int64(a.inode), int64(mode),
		0, 0, // user, group
		1, // links
		0, // time
		size,
		0, 0, 0, 0, // devices
		int64(len(name)) + 1,
		0, // checksum
	}
	var b strings.Builder
	b.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&b, "%08x", f)
	}
	b.WriteString(name)
	b.WriteByte(0)
	a.write(strings.NewReader(b.String()), int64(b.Len()))
}

// write copies size bytes and pads them to a multiple of four.
func (a *archive) write(r io.Reader, size int64) {
	if a.err != nil {
		return
	}
	if _, err := io.CopyN(a.w, r, size); err != nil {
		a.err = err
		return
	}
	_, a.err = a.w.Write(make([]byte, -size&3))
}
