package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// namespace is one of our own, with a loopback device that is up.
type namespace string

func newNamespace() (namespace, error) {
	n := namespace(fmt.Sprintf("dtb%08x", rand.Uint32()))
	if _, err := program("", "ip", "netns", "add", string(n)); err != nil {
		return "", err
	}
	if _, err := program("", "ip", "-n", string(n), "link", "set", "lo", "up"); err != nil {
		n.remove()
		return "", err
	}
	return n, nil
}

func (n namespace) remove() { _, _ = program("", "ip", "netns", "del", string(n)) }

// program runs a program inside and returns what it prints.
func (n namespace) program(stdin string, args ...string) (string, error) {
	return program(stdin, "ip", append([]string{"netns", "exec", string(n)}, args...)...)
}

func program(stdin, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// do calls f on a thread inside, which ends with it.
func (n namespace) do(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks
		result <- func() error {
			file, err := os.Open(filepath.Join("/run/netns", string(n)))
			if err != nil {
				return err
			}
			defer file.Close()
			if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter namespace %s: %w", n, err)
			}
			return f()
		}()
	}()
	return <-result
}

// sender is a connected UDP socket. The address is 127.0.0.1.
func sender(port int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	to := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(fd, to); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
