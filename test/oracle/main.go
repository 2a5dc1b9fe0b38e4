// Oracle tests droptrace's answers on random rulesets and packets against the
// kernel's own counters.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

type options struct {
	n         int
	seed      uint64
	droptrace string
	probes    string
	engines   []string
	json      bool
	timeout   time.Duration
	settle    time.Duration
	replay    bool
}

func main() {
	runtime.LockOSThread()
	var o options
	var engines string
	flag.IntVar(&o.n, "n", 2000, "compare at least so many `drops` of each engine")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of rulesets and packets")
	flag.StringVar(&o.droptrace, "droptrace", "droptrace", "`program` under test")
	flag.StringVar(&o.probes, "probes", "auto", "its --probes")
	flag.StringVar(&engines, "engine", "nft,iptables-nft,iptables-legacy", "`engines` to test")
	flag.BoolVar(&o.json, "json", false, "print the table as JSON too")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Minute, "end after this `time` with what there is")
	flag.DurationVar(&o.settle, "settle", 1200*time.Millisecond, "leave droptrace this `time` to find new legacy tables")
	flag.BoolVar(&o.replay, "replay", false, "only compare replay with the counters: no droptrace runs")
	flag.Parse()
	o.engines = strings.Split(engines, ",")
	err := test(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

var (
	errWrong  = errors.New("certain answers were wrong")
	errReplay = errors.New("replay's answers were wrong")
)

func test(o options) error {
	if flags := []string{"nft", "iptables-nft", "iptables-legacy"}; slices.ContainsFunc(o.engines, func(e string) bool { return !slices.Contains(flags, e) }) {
		return fmt.Errorf("engines are %v", flags)
	}
	for _, m := range strings.Fields("nf_tables nft_ct nft_counter nft_reject_inet nft_reject nft_compat nf_conntrack nf_conntrack_netlink veth " +
		"iptable_filter iptable_mangle iptable_raw iptable_security ip6table_filter ip6table_mangle ip6table_raw ip6table_security " +
		"xt_comment xt_conntrack xt_multiport xt_length xt_mark xt_tcpudp ipt_REJECT ip6t_REJECT nf_reject_ipv4 nf_reject_ipv6") {
		exec.Command("modprobe", "-q", m).Run() // built in, or loaded by use
	}
	l, err := openLab()
	if err != nil {
		l.Close() // what of it was made
		return err
	}
	defer l.Close()
	k := &kernel{lab: l}
	if k.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return fmt.Errorf("open nf_tables: %w", err)
	}
	defer k.conn.Close()
	if k.ct, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return err
	}
	defer k.ct.Close()
	k.conn.SetReadBuffer(1 << 20)
	var u unix.Utsname
	unix.Uname(&u)
	j := &judge{kernel: unix.ByteSliceToString(u.Release[:]), plan: o.probes, seed: o.seed, out: os.Stdout}
	replays, err := newReplayer(l.names[1], os.Stdout)
	if err != nil {
		return err
	}
	defer replays.ns.Close()
	fmt.Printf("oracle: kernel %s, plan %s, seed %d\n", j.kernel, o.probes, o.seed)
	time.Sleep(time.Second) // the router's multicast reports
	end := time.Now().Add(o.timeout)
	for i, e := range o.engines {
		share := time.Until(end) / time.Duration(len(o.engines)-i)
		r := newRun(o, e, k, j)
		r.replays = replays
		if err := r.run(time.Now().Add(share)); err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
	}
	if !o.replay {
		j.print(os.Stdout)
		j.printCauses(os.Stdout)
	}
	replays.print(os.Stdout)
	if !o.replay {
		j.summary(os.Stdout)
	}
	if o.json {
		b, err := json.Marshal(j.rows)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", b)
	}
	if j.wrong > 0 {
		return errWrong
	}
	if replays.wrong > 0 {
		return errReplay
	}
	return nil
}
