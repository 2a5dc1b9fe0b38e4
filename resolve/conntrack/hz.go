package conntrack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoHZ is returned where no file tells the kernel's tick rate.
var ErrNoHZ = errors.New("tick rate (CONFIG_HZ) not known: no kernel configuration to read")

// HZ returns the running kernel's CONFIG_HZ, from its configuration in
// /proc/config.gz, /boot or /lib/modules. It is in no system call and in neither
// BTF nor kallsyms: sysconf(_SC_CLK_TCK) is USER_HZ, always 100. The error is
// ErrNoHZ where there is no such file.
func HZ() (int, error) {
	release, err := release()
	if err != nil {
		return 0, fmt.Errorf("tick rate: %w", err)
	}
	for _, path := range []string{
		"/proc/config.gz",
		"/boot/config-" + release,
		"/lib/modules/" + release + "/config", // Fedora, and others with no /boot
		"/usr/lib/modules/" + release + "/build/.config",
	} {
		if hz, err := readConfig(path); err == nil {
			return hz, nil
		}
	}
	return 0, ErrNoHZ
}

func release() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(name.Release[:]), nil
}

func readConfig(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("tick rate: %w", err)
	}
	defer f.Close()
	hz, err := parseConfig(f)
	if err != nil {
		return 0, fmt.Errorf("tick rate of %s: %w", path, err)
	}
	return hz, nil
}

// parseConfig finds CONFIG_HZ in a kernel configuration, compressed or not.
func parseConfig(r io.Reader) (int, error) {
	in := bufio.NewReader(r)
	if magic, err := in.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return 0, err
		}
		in = bufio.NewReader(z)
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		value, ok := strings.CutPrefix(lines.Text(), "CONFIG_HZ=")
		if !ok {
			continue
		}
		hz, err := strconv.Atoi(value)
		if err != nil || !plausible(hz) {
			return 0, fmt.Errorf("CONFIG_HZ=%.20q", value)
		}
		return hz, nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, ErrNoHZ
}

// plausible holds the bounds of kernel/Kconfig.hz and the architectures: 24
// (alpha) to 1200.
func plausible(hz int) bool { return hz >= 24 && hz <= 1200 }
