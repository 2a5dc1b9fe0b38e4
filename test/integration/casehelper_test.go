package integration

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// helperCases: connections that belong to another one, which conntrack knows by its
// helpers only. After the fix data pass whatever port they are announced for.
func helperCases() []aCase {
	const open = `iptables-nft -P FORWARD DROP
		iptables-nft -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
		iptables-nft -A FORWARD -p tcp --dport 21 -j ACCEPT
		`
	return []aCase{
		{
			name: "FTP without its helper, iptables", host: open,
			by: passive(serverIP, 40201), connects: passively(serverIP, 40202), port: 40201,
			code: "helper-missing", says: []string{"tcp 40201 from 192.0.2.2", "tcp 198.51.100.2:21", "its helper ftp"},
			fix: "iptables-nft -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp", works: true,
		},
		{
			name: "FTP without its helper, nft, IPv6, and nothing related accepted",
			host: `nft add table inet f
				nft 'add chain inet f fw { type filter hook forward priority 0; policy drop; }'
				nft add rule inet f fw meta l4proto ipv6-icmp accept
				nft add rule inet f fw ct state established accept
				nft add rule inet f fw tcp dport 21 accept`,
			by: passive(serverIP6, 40203), connects: passively(serverIP6, 40204), port: 40203,
			code: "helper-missing", says: []string{"its helper ftp"}, fix: "ct helper set", works: true,
		},
		{
			name: "TFTP from here, legacy",
			host: `iptables-legacy -P INPUT DROP
				iptables-legacy -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT`,
			by: tftp(40205, 40206), connects: tftpAnswered(40230, 40208), port: 40205,
			code: "helper-missing", says: []string{"from 192.0.2.1 to udp 192.0.2.2:69", "its helper tftp"},
			fix: "iptables-legacy -t raw -A OUTPUT -p udp --dport 69 -j CT --helper tftp", works: true,
		},
		{
			name: "FTP with its helper, and a port that nobody announced",
			host: open + "iptables-nft -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
			by:   passive(serverIP, 40209, 40210), port: 40210, code: "forward-dropped", never: []string{"helper"},
		},
		{
			name: "no FTP at all", host: open,
			send: "client tcp 198.51.100.2 40211", code: "forward-dropped", never: []string{"helper"},
		},
	}
}

// passive has the client ask an FTP server for a data connection and open it, or one
// to another port than was announced.
func passive(server string, announced uint16, opened ...uint16) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		_ = transfer(t, l, server, announced, append(opened, announced)[0])
	}
}

func passively(server string, port uint16) func(*testing.T, *lab) error {
	return func(t *testing.T, l *lab) error {
		t.Helper()
		return transfer(t, l, server, port, port)
	}
}

// transfer speaks as much FTP as the helper reads.
func transfer(t *testing.T, l *lab, server string, announced, opened uint16) error {
	t.Helper()
	reply := fmt.Sprintf("227 Entering Passive Mode (%s,%d,%d)", strings.ReplaceAll(server, ".", ","), announced>>8, announced&0xff)
	if strings.Contains(server, ":") {
		reply = fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)", announced)
	}
	var control, data net.Listener
	within(t, l.server, func() (err error) {
		if control, err = net.Listen("tcp", net.JoinHostPort(server, "21")); err != nil {
			return err
		}
		data, err = net.Listen("tcp", net.JoinHostPort(server, strconv.Itoa(int(opened))))
		return err
	})
	defer control.Close()
	defer data.Close()
	go func() {
		c, err := control.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		// The helper begins to read behind the first line of each side.
		_, _ = fmt.Fprint(c, "220 hello\r\n")
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			return
		}
		_, _ = fmt.Fprintf(c, "%s\r\n", reply)
		if d, err := data.Accept(); err == nil {
			_, _ = d.Write([]byte("data"))
			d.Close()
		}
	}()
	var failed error
	within(t, l.client, func() error {
		const wait = 1500 * time.Millisecond
		c, err := net.DialTimeout("tcp", net.JoinHostPort(server, "21"), wait)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(wait))
		ask := "PASV\r\n"
		if strings.Contains(server, ":") {
			ask = "EPSV\r\n"
		}
		lines := bufio.NewReader(c)
		if _, err := lines.ReadString('\n'); err != nil {
			return err
		}
		if _, err := c.Write([]byte(ask)); err != nil {
			return err
		}
		if _, err := lines.ReadString('\n'); err != nil {
			return err
		}
		var d net.Conn
		if d, failed = net.DialTimeout("tcp", net.JoinHostPort(server, strconv.Itoa(int(opened))), wait); failed == nil {
			_ = d.SetDeadline(time.Now().Add(wait))
			_, failed = d.Read(make([]byte, 8))
			d.Close()
		}
		return nil
	})
	return failed
}

// tftp has the host ask the client for a file from one port, and the client answer
// from another.
func tftp(from, answer uint16) func(*testing.T, *lab) {
	return func(t *testing.T, l *lab) {
		t.Helper()
		_ = download(t, l, from, answer)
	}
}

func tftpAnswered(from, answer uint16) func(*testing.T, *lab) error {
	return func(t *testing.T, l *lab) error {
		t.Helper()
		from++ // the entry of the port before has no helper
		return download(t, l, from, answer)
	}
}

func download(t *testing.T, l *lab, from, answer uint16) error {
	t.Helper()
	var server, data net.PacketConn
	within(t, l.client, func() (err error) {
		if server, err = net.ListenPacket("udp4", clientIP+":69"); err != nil {
			return err
		}
		data, err = net.ListenPacket("udp4", clientIP+":"+strconv.Itoa(int(answer)))
		return err
	})
	defer server.Close()
	defer data.Close()
	go func() {
		if _, peer, err := server.ReadFrom(make([]byte, 64)); err == nil {
			_, _ = data.WriteTo([]byte{0, 3, 0, 1, 'x'}, peer)
		}
	}()
	var failed error
	within(t, l.host, func() error {
		c, err := net.ListenPacket("udp4", hostIP+":"+strconv.Itoa(int(from)))
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.WriteTo([]byte("\x00\x01file\x00octet\x00"), &net.UDPAddr{IP: net.ParseIP(clientIP), Port: 69}); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, _, failed = c.ReadFrom(make([]byte, 64))
		return nil
	})
	return failed
}
