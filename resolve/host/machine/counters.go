package machine

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// Counters are the kernel's counts of packets that it lost or left unanswered in one
// network namespace, by their name as nstat(8) prints it, or by device.
type Counters map[string]uint64

// Growth is one counter that grew.
type Growth struct {
	Name  string
	Count uint64 // by how much
	Words string // what it counts
	// Whole says that it counts for the whole machine, whatever namespace is asked.
	Whole bool
}

// netDir is that of the calling thread's namespace.
const netDir = "/proc/thread-self/net"

// ReadCounters reads the namespace of the calling thread. Files that this kernel does
// not have are left out; the error says what could not be read.
func ReadCounters() (Counters, error) {
	c := make(Counters)
	return c, errors.Join(c.readProc(netDir), c.readQdiscs())
}

func (c Counters) readProc(dir string) error {
	var errs []error
	for _, f := range []struct {
		name string
		read func(*bufio.Scanner)
	}{
		{"snmp", c.readPairs}, {"netstat", c.readPairs},
		{"snmp6", c.readColumns}, {"xfrm_stat", c.readColumns},
		{"dev", c.readDevices}, {"netfilter/nfnetlink_queue", c.readQueues}, {"softnet_stat", c.readSoftnet},
	} {
		file, err := os.Open(filepath.Join(dir, f.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lines := bufio.NewScanner(file)
		f.read(lines)
		if err := lines.Err(); err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", f.name, err))
		}
		file.Close()
	}
	return errors.Join(errs...)
}

func (c Counters) add(name, value string, base int) {
	if n, err := strconv.ParseUint(value, base, 64); err == nil {
		c[name] += n
	}
}

// readPairs reads lines in twos: names, then values, each behind "Tcp:".
func (c Counters) readPairs(lines *bufio.Scanner) {
	for lines.Scan() {
		names := strings.Fields(lines.Text())
		if !lines.Scan() {
			return
		}
		values := strings.Fields(lines.Text())
		if len(names) == 0 || len(names) != len(values) {
			continue
		}
		prefix := strings.TrimSuffix(names[0], ":")
		for i := 1; i < len(names); i++ {
			c.add(prefix+names[i], values[i], 10)
		}
	}
}

// readColumns reads a name and a value on each line.
func (c Counters) readColumns(lines *bufio.Scanner) {
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 2 {
			c.add(f[0], f[1], 10)
		}
	}
}

// The columns of /proc/net/dev, from net/core/net-procfs.c.
var deviceColumns = [...]string{2: "rx errors", 3: "rx dropped", 4: "rx fifo errors", 5: "rx frame errors",
	10: "tx errors", 11: "tx dropped", 12: "tx fifo errors", 14: "tx carrier errors"}

func (c Counters) readDevices(lines *bufio.Scanner) {
	for lines.Scan() {
		name, rest, ok := strings.Cut(lines.Text(), ":")
		values := strings.Fields(rest)
		if !ok || len(values) < len(deviceColumns) {
			continue
		}
		for i, column := range deviceColumns {
			if column != "" {
				c.add(strings.TrimSpace(name)+" "+column, values[i], 10)
			}
		}
	}
}

// readQueues reads lines of number, port id, length, copy mode and range, packets that
// found the queue full, and packets that could not be sent to the program.
func (c Counters) readQueues(lines *bufio.Scanner) {
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) >= 7 {
			c.add("nfqueue "+f[0]+" full", f[5], 10)
			c.add("nfqueue "+f[0]+" undelivered", f[6], 10)
		}
	}
}

// readSoftnet reads a line a CPU, in hex; the second is what its backlog dropped. They
// are of the whole machine, whatever namespace asks.
func (c Counters) readSoftnet(lines *bufio.Scanner) {
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) >= 11 {
			c.add("softnet dropped", f[1], 16)
			c.add("softnet flow limit", f[10], 16)
		}
	}
}

// readQdiscs reads what queueing disciplines dropped.
func (c Counters) readQdiscs() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	qdiscs, err := netlink.QdiscList(nil)
	if err != nil {
		return fmt.Errorf("list qdiscs: %w", err)
	}
	for _, q := range qdiscs {
		if a := q.Attrs(); a.Statistics != nil && a.Statistics.Queue != nil {
			c[fmt.Sprintf("%s qdisc %s %s", names[a.LinkIndex], q.Type(), netlink.HandleStr(a.Handle))] += uint64(a.Statistics.Queue.Drops)
		}
	}
	return nil
}

// Since returns what grew after before, and means that packets were lost or left
// unanswered; most first.
func (c Counters) Since(before Counters) []Growth {
	var out []Growth
	for name, now := range c {
		if from, ok := before[name]; ok && now > from {
			if words := counterWords(name); words != "" {
				out = append(out, Growth{Name: name, Count: now - from, Words: words, Whole: strings.HasPrefix(name, "softnet ")})
			}
		}
	}
	out = append(out, unanswered(c, before)...)
	slices.SortFunc(out, func(a, b Growth) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// unanswered are echo requests beyond the answers: icmp_echo_ignore_all and
// icmp_echo_ignore_broadcasts leave no other trace.
func unanswered(c, before Counters) []Growth {
	var out []Growth
	for _, v := range []struct{ in, reply, words string }{
		{"IcmpInEchos", "IcmpOutEchoReps", "echo requests came and were not answered: look at net.ipv4.icmp_echo_ignore_all, and icmp_echo_ignore_broadcasts"},
		{"Icmp6InEchos", "Icmp6OutEchoReplies", "echo requests came and were not answered: look at net.ipv6.icmp.echo_ignore_all, echo_ignore_multicast and echo_ignore_anycast"},
	} {
		came, answered := c[v.in]-before[v.in], c[v.reply]-before[v.reply]
		if c[v.in] >= before[v.in] && c[v.reply] >= before[v.reply] && came > answered {
			out = append(out, Growth{Name: v.in, Count: came - answered, Words: v.words})
		}
	}
	return out
}
