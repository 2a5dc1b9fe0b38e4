package table

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answerWait bounds the wait for an answer that the kernel gives at once.
const answerWait = time.Second

// ask sends a request for one entry and returns the answer's attributes.
//
// It reads by itself because ctnetlink marks even a single answer as part of
// several (NLM_F_MULTI in ctnetlink_fill_info, 5.10 to 7.2) and never sends the
// end of them, for which netlink.Conn would wait.
func (r *Reader) ask(ctx context.Context, typ uint16, family uint8, attrs []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	sent, err := r.nl.Send(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(subsystem<<8 | typ), Flags: netlink.Request},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attrs...),
	})
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	answer, err := r.read()
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	return single(answer, sent.Header.Sequence)
}

// read takes one datagram.
func (r *Reader) read() ([]byte, error) {
	conn, err := r.nl.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := r.nl.SetReadDeadline(time.Now().Add(answerWait)); err != nil {
		return nil, err
	}
	defer r.nl.SetReadDeadline(time.Time{})
	b := make([]byte, 8192) // an entry takes less than 1 KiB
	var n int
	var inner error
	err = conn.Read(func(fd uintptr) bool {
		n, _, inner = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
		return inner != unix.EAGAIN
	})
	if err == nil {
		err = inner
	}
	return b[:max(n, 0)], err
}

// single takes the attributes out of an answer, or the error that it is.
func single(b []byte, sequence uint32) ([]byte, error) {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil || len(messages) == 0 {
		return nil, errMalformed
	}
	m := messages[0]
	switch {
	case m.Header.Seq != sequence:
		return nil, fmt.Errorf("reply %d to request %d", m.Header.Seq, sequence)
	case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
		return nil, unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
	case m.Header.Type>>8 != subsystem || len(m.Data) < nfgenmsgSize:
		return nil, errMalformed
	}
	return m.Data[nfgenmsgSize:], nil
}
