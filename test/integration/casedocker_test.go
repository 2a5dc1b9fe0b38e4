package integration

// dockerCases: Docker's own rules, told as what they are, and tables that do not agree.
func dockerCases() []aCase {
	// The host's two networks are Docker's: their bridges are called by their IDs.
	const networks = `ip link set eth0 down; ip link set eth0 name br-0123456789ab; ip link set br-0123456789ab up
		ip link set eth1 down; ip link set eth1 name br-ba9876543210; ip link set br-ba9876543210 up
		ip -6 addr add 2001:db8::1/64 dev br-0123456789ab nodad || true
		ip -6 addr add 2001:db8:1::1/64 dev br-ba9876543210 nodad || true
		`
	return []aCase{
		{
			name: "Docker's isolation of networks",
			host: networks + `iptables-nft -N DOCKER-ISOLATION-STAGE-1
				iptables-nft -N DOCKER-ISOLATION-STAGE-2
				iptables-nft -N DOCKER-USER
				iptables-nft -A FORWARD -j DOCKER-ISOLATION-STAGE-1
				iptables-nft -A DOCKER-ISOLATION-STAGE-1 -i br-0123456789ab ! -o br-0123456789ab -j DOCKER-ISOLATION-STAGE-2
				iptables-nft -A DOCKER-ISOLATION-STAGE-2 -o br-ba9876543210 -j DROP`,
			send: "client udp 198.51.100.2 7701", code: "docker-isolation",
			says: []string{"Docker keeps its networks apart", "br-0123456789ab", "br-ba9876543210"}, fix: "docker network connect ba9876543210 CONTAINER",
		},
		{
			name: "Docker 28: from one network to a container of another",
			host: networks + `iptables-nft -N DOCKER
				iptables-nft -t raw -A PREROUTING -d 198.51.100.2/32 ! -i br-ba9876543210 -j DROP`,
			send: "client udp 198.51.100.2 7702", code: "docker-isolation", fix: "docker network connect ba9876543210 CONTAINER",
		},
		{
			name: "Docker 28: from outside to a container's own address, legacy",
			host: `iptables-legacy -N DOCKER
				ip link set eth1 down; ip link set eth1 name br-ba9876543210; ip link set br-ba9876543210 up
				iptables-legacy -t raw -A PREROUTING -d 198.51.100.2/32 ! -i br-ba9876543210 -j DROP`,
			send: "client tcp 198.51.100.2 7703", code: "docker-unpublished",
			says: []string{"direct access by eth0 to the container's own address 198.51.100.2", "docker run -p", "gateway_mode_ipv4", "allow-direct-routing"},
		},
		{
			name: "Docker 27: an internal network",
			host: networks + `iptables-nft -N DOCKER-ISOLATION-STAGE-1
				iptables-nft -N DOCKER-USER
				iptables-nft -A FORWARD -j DOCKER-ISOLATION-STAGE-1
				iptables-nft -A DOCKER-ISOLATION-STAGE-1 ! -d 192.0.2.0/24 -i br-0123456789ab -j DROP`,
			send: "client udp 198.51.100.2 7707", code: "meant-drop",
			says: []string{"the Docker network of br-0123456789ab is internal"}, never: []string{"keeps its networks apart"},
		},
		{
			name: "a rule of raw that is not Docker's, beside Docker",
			host: `iptables-nft -N DOCKER
				iptables-nft -t raw -A PREROUTING -d 198.51.100.2/32 ! -i eth1 -j DROP`,
			send: "client udp 198.51.100.2 7708", code: "interface-mismatch", never: []string{"Docker"},
		},
		{
			name: "Docker 28: a port that is not published",
			host: `iptables-nft -N DOCKER
				iptables-nft -A FORWARD -o eth1 -j DOCKER
				iptables-nft -A DOCKER ! -i eth1 -o eth1 -j DROP`,
			send: "client tcp 198.51.100.2 7704", code: "docker-unpublished", says: []string{"only published ports", "tcp 7704 of 198.51.100.2 is not one"},
		},
		{
			name: "Docker 29: nftables",
			host: `nft add table ip6 docker-bridges
				nft 'add chain ip6 docker-bridges filter-FORWARD { type filter hook forward priority 0; }'
				nft add chain ip6 docker-bridges filter-forward-in__eth1
				nft add rule ip6 docker-bridges filter-FORWARD oifname eth1 jump filter-forward-in__eth1
				nft add rule ip6 docker-bridges filter-forward-in__eth1 counter drop comment '"UNPUBLISHED PORT DROP"'`,
			send: "client udp 2001:db8:1::2 7705", code: "docker-unpublished", says: []string{"only published ports"},
		},
		{
			name: "a rule of raw that is not Docker's",
			host: "iptables-nft -t raw -A PREROUTING -d 198.51.100.2/32 ! -i eth1 -j DROP",
			send: "client udp 198.51.100.2 7706", code: "interface-mismatch", never: []string{"Docker"},
		},
		{
			name: "accepted by one table, dropped by a later one, without a port",
			host: `nft add table inet mine
				nft 'add chain inet mine in { type filter hook input priority -10; }'
				nft add rule inet mine in ip saddr 192.0.2.0/24 accept
				nft add table inet other
				nft 'add chain inet other in { type filter hook input priority 10; policy drop; }'
				nft add rule inet other in tcp dport 22 accept`,
			send: "client ping 192.0.2.1", icmp: 8, code: "policy-drop-no-accept",
			says: []string{"nft inet mine in rule 1 (handle 2) accepts it, but that ends only nft inet mine in", "nft inet other in is asked after it (priority 10, after -10)"},
		},
	}
}
