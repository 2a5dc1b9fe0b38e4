package conntrack

import (
	"sync"

	"github.com/droptrace/droptrace/cmd/droptrace/console"
	"github.com/droptrace/droptrace/resolve/drop"
)

// noticeList keeps what the source has to tell until there is a moment for it.
type noticeList struct {
	t     console.Terminal
	quiet bool
	mu    sync.Mutex
	list  []drop.Notice
}

func newNoticeList(t console.Terminal, quiet bool) *noticeList {
	return &noticeList{t: t, quiet: quiet}
}

func (l *noticeList) add(n drop.Notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, n)
}

func (l *noticeList) print() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.list {
		if !l.quiet {
			console.PrintNotice(l.t.Stderr, l.t.Style(l.t.Stderr), n)
		}
	}
	l.list = nil
}
