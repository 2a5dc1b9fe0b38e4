package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	ctx := context.Background()
	blue, running := newHandle(t), newHandle(t)
	pid, bluePID := startIn(t, running), startIn(t, blue)
	bluePath := Namespace{Inode: blue.inode, Name: "blue", Path: "/run/netns/blue"}
	process := Namespace{
		Inode: running.inode, PID: pid, Command: "cat", Path: fmt.Sprintf("/proc/%d/ns/net", pid),
	}
	inPrivateRun(t, func() error {
		err := errors.Join(bind(blue, "/run/netns/blue"), bind(blue, "/run/elsewhere"),
			bind(running, "/run/docker/netns/0123456789ab"))
		if err != nil {
			return err
		}
		for _, tt := range []struct {
			spec string
			want Namespace
		}{
			{"blue", bluePath},
			{"/run/netns/blue", bluePath},
			{"/run/elsewhere", Namespace{Inode: blue.inode, Name: "blue", Path: "/run/elsewhere"}},
			{fmt.Sprintf("inode:%d", blue.inode), bluePath},
			{fmt.Sprintf("net:[%d]", blue.inode), bluePath},
			{fmt.Sprintf("pid:%d", bluePID), bluePath},
			{fmt.Sprintf("pid:%d", pid), process},
			{fmt.Sprintf("inode:%d", running.inode), process},
			{process.Path, Namespace{Inode: running.inode, Path: process.Path}},
			{"0123456789ab", Namespace{
				Inode: running.inode, Name: "0123456789ab", Path: "/run/docker/netns/0123456789ab",
			}},
		} {
			if got, err := Parse(ctx, tt.spec); err != nil || got != tt.want {
				t.Errorf("%s\ngot  %+v, %v\nwant %+v", tt.spec, got, err, tt.want)
			}
		}
		return nil
	})
}

func TestParseRefuses(t *testing.T) {
	ctx := context.Background()
	blue := newHandle(t)
	inPrivateRun(t, func() error {
		err := errors.Join(bind(blue, "/run/netns/blue"), bind(blue, "/run/netns/prod-db\x1b[2J"),
			unix.Mkfifo("/run/fifo", 0o600), os.WriteFile("/run/netns/plain", nil, 0o600))
		if err != nil {
			return err
		}
		for _, tt := range []struct {
			spec     string
			notFound bool
			says     string // in the message
		}{
			{"bleu", true, `did you mean "blue"?`},
			{"prod", true, `did you mean "prod-db\x1b[2J"?`},
			{"nothing like it", true, "`ip netns` lists"},
			{"plain", true, ""},
			{"", true, ""},
			{"..", true, ""},
			{"1234", true, "pid:1234 or inode:1234"},
			{"pid:4194305", true, "pid 4194305"},
			{"pid:0", false, "not a process number"},
			{"pid:self", false, "not a process number"},
			{"inode:1", true, "inode 1"},
			{"inode:-1", false, "not an inode number"},
			{"net:[x]", true, ""},
			{"/run/netns/red", true, "red"},
			{"/run/netns/blue/x", true, ""},
			{"/run/netns/plain", false, "not a network namespace"},
			{"/run/fifo", false, "not a network namespace"},
			{"/proc/self/ns/mnt", false, "not a network namespace"},
			{"/run/", false, "not a network namespace"},
		} {
			n, err := Parse(ctx, tt.spec)
			if err == nil {
				t.Errorf("%q: no error but %+v", tt.spec, n)
				continue
			}
			if errors.Is(err, ErrNotFound) != tt.notFound || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q: %v", tt.spec, err)
			}
			if strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%q: an escape in %q", tt.spec, err)
			}
		}
		return nil
	})
	inPrivateRun(t, func() error {
		if _, err := Parse(ctx, "blue"); err == nil || !strings.Contains(err.Error(), "none has a name") {
			t.Errorf("with no names at all: %v", err)
		}
		return nil
	})
}

func FuzzParseLink(f *testing.F) {
	for _, s := range []string{"net:[4026531840]", "net:[]", "net:[0]", "mnt:[1]", "net:[4294967296]", "net:["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if inode, ok := parseLink(s); ok && inode == 0 {
			t.Errorf("%q is inode 0", s)
		}
	})
}
