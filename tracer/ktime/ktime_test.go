package ktime

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"monotonic           0         0\nboottime            0         0\n": 0,
		"monotonic      864000       500\nboottime         7        0\n":     10*24*time.Hour + 500,
		"boottime 7 0\nmonotonic -5 1000000\n":                               -5*time.Second + time.Millisecond,
	} {
		if got, err := parse([]byte(text)); got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "boottime 7 0\n", "monotonic x 0\n", "monotonic\n"} {
		if got, err := parse([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

const childEnv = "DROPTRACE_TEST_KTIME"

// A process in a time namespace reads the clock that this one reads.
func TestNowIsTheMachines(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		now, err := Now()
		if err != nil {
			t.Fatal(err)
		}
		var moved unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &moved); err != nil {
			t.Fatal(err)
		}
		fmt.Println("ktime", now, moved.Nano())
		return
	}
	before, err := Now()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--time", "--fork", "--monotonic", "864000", os.Args[0], "-test.run=^TestNowIsTheMachines$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	after, err := Now()
	if err != nil {
		t.Fatal(err)
	}
	var now, moved uint64
	if _, err := fmt.Sscanf(string(out), "ktime %d %d", &now, &moved); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if now < before || now > after {
		t.Errorf("%d is not between %d and %d", now, before, after)
	}
	if moved < before+uint64(100*time.Hour) {
		t.Errorf("the test has moved no clock: %d", moved)
	}
}
