package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/droptrace/droptrace/cmd/droptrace/recording"
)

// OpenInput opens a file to read, or standard input for -.
func OpenInput(name string, t Terminal) (io.ReadCloser, error) {
	if name == "-" {
		if _, ok := Width(os.Stdin); ok {
			return nil, BadUsage(errors.New("standard input is a terminal"), "give the name of a file, or a pipe")
		}
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, fmt.Errorf("%s is a directory", name)
	}
	return f, nil
}

// Unreadable says what is wrong with a file, and what could be read of it.
func Unreadable(name string, err error, drops uint64) error {
	foreign, ok := errors.AsType[*recording.ForeignError](err)
	switch {
	case ok && strings.HasPrefix(foreign.Format, "pcap"):
		return WithHint(fmt.Errorf("%s %w", name, err),
			"to look for its packets among recorded drops: droptrace read --correlate "+name+" RECORDING")
	case ok && (foreign.Format == "gzip" || foreign.Format == "zstd"):
		return WithHint(fmt.Errorf("%s is packed with %s", name, foreign.Format), "unpack it to a pipe: droptrace read -")
	case ok:
		return WithHint(fmt.Errorf("%s %w", name, err), "recordings are made with -w FILE.pcapng, or --json")
	case errors.Is(err, recording.ErrEmpty):
		return fmt.Errorf("%s %w", name, err)
	case errors.Is(err, recording.ErrCut):
		return fmt.Errorf("%s %w; the %d drops before were read", name, err, drops)
	}
	return fmt.Errorf("%s: %w; the %d drops before were read", name, err, drops)
}
