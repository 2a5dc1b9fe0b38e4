package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/droptrace/droptrace/test/vm/initramfs"
	"github.com/droptrace/droptrace/test/vm/kernel"
)

type options struct {
	kernels []string
	files   []initramfs.File
	command []string

	list, update  bool
	names         bool
	cache, mirror string
	memory, cpus  int
	icount        bool
	cpu           string
	append        string
	timeout       time.Duration
}

// parseOptions reads the command line, and prints what is wrong with it.
func parseOptions(args []string, output io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("vm", flag.ContinueOnError)
	fs.SetOutput(output)
	fs.Usage = func() {
		fmt.Fprintln(output, "usage: vm [flags] -- command [argument...]")
		fs.PrintDefaults()
	}
	fs.Func("kernel", "boot these `kernels`, of "+strings.Join(kernel.Names(), ", ")+"; may be repeated (default all)", func(s string) error {
		if s == "all" {
			o.kernels = kernel.Names()
			return nil
		}
		for name := range strings.SplitSeq(s, ",") {
			if err := kernel.Check(name); err != nil {
				return err
			}
			if !slices.Contains(o.kernels, name) {
				o.kernels = append(o.kernels, name)
			}
		}
		return nil
	})
	fs.Func("file", "put a file or folder, `host[:/guest]`, into the guest, by default into /; may be repeated", func(s string) error {
		f, err := initramfs.ParseFile(s)
		o.files = append(o.files, f)
		return err
	})
	fs.BoolVar(&o.list, "list", false, "list the kernels that would be booted")
	fs.BoolVar(&o.names, "names", false, "list the kernels' names only, without the network")
	fs.BoolVar(&o.update, "update", false, "look for newer kernels than those in the cache")
	fs.StringVar(&o.cache, "cache", "", "`folder` to keep kernels in (default droptrace/vm in the user's cache folder)")
	fs.StringVar(&o.mirror, "mirror", "http://deb.debian.org/debian", "Debian mirror; its security archive is `url`-security")
	fs.IntVar(&o.memory, "memory", 1024, "memory of the guest in `MiB`")
	fs.IntVar(&o.cpus, "smp", 2, "`number` of the guest's CPUs")
	fs.StringVar(&o.cpu, "cpu", "", "QEMU's `model` of the guest's CPUs (default the one that can do most)")
	fs.BoolVar(&o.icount, "icount", false, "let the guest's clock count instructions (one CPU)")
	fs.StringVar(&o.append, "append", "", "more `parameters` of the kernel")
	fs.DurationVar(&o.timeout, "timeout", 10*time.Minute, "give up a guest after this `duration`")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	o.command = fs.Args()
	if err := o.complete(); err != nil {
		fmt.Fprintf(output, "vm: %v\n", err)
		return options{}, err
	}
	return o, nil
}

// complete fills in defaults that depend on the rest.
func (o *options) complete() error {
	if len(o.command) == 0 && !o.list && !o.names {
		return errors.New("no command to run: vm [flags] -- command [argument...]")
	}
	if len(o.kernels) == 0 {
		o.kernels = kernel.Names()
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the cache folder: %w", err)
		}
		o.cache = filepath.Join(dir, "droptrace", "vm")
	}
	var err error
	o.cache, err = filepath.Abs(o.cache)
	return err
}
