package iptables

import "github.com/droptrace/droptrace/resolve/rules/ruleset"

// unknowableSpec has the matches whose outcome depends on more than the ruleset
// and the packet, or takes more than a comparison of fields.
func unknowableSpec(_, name string) *spec {
	switch name {
	case "limit":
		return unknowable("limit", "limit=1", "limit-burst=1")
	case "hashlimit":
		return mayDrop("hashlimit", "hashlimit-upto/hashlimit=1", "hashlimit-above=1", "hashlimit-burst=1",
			"hashlimit-srcmask=1", "hashlimit-dstmask=1", "hashlimit-htable-size=1", "hashlimit-htable-max=1",
			"hashlimit-htable-gcinterval=1", "hashlimit-htable-expire=1", "hashlimit-mode=1", "hashlimit-name=1",
			"hashlimit-rate-match", "hashlimit-rate-interval=1")
	case "connlimit":
		return mayDrop("connlimit", "connlimit-upto=1", "connlimit-above=1", "connlimit-mask=1", "connlimit-saddr",
			"connlimit-daddr")
	case "statistic":
		return unknowable("random", "mode=1", "probability=1", "every=1", "packet=1")
	case "time":
		return unknowable("time", "datestart=1", "datestop=1", "timestart=1", "timestop=1", "monthdays=1",
			"weekdays=1", "kerneltz", "utc", "localtz", "contiguous")
	case "recent":
		return newSpec(buildRecent, "name=1", "set", "rcheck", "update", "remove", "rsource", "rdest", "seconds=1",
			"reap", "hitcount=1", "rttl", "mask=1")
	case "socket":
		return unknowable("socket", "transparent", "nowildcard", "restore-skmark")
	case "quota":
		return unknowable("quota", "quota=1", "remain=1")
	case "u32":
		return mayDrop("u32", "u32=1")
	case "string":
		return unknowable("string", "algo=1", "from=1", "to=1", "string=1", "hex-string=1", "icase")
	case "bpf":
		return unknowable("bpf", "bytecode=1", "object-pinned=1", "fd=1")
	case "policy":
		return unknowable("policy", "dir=1", "pol=1", "strict", "reqid=1", "spi=1", "proto=1", "mode=1",
			"tunnel-src=1", "tunnel-dst=1", "next")
	case "rpfilter":
		return unknowable("rpfilter", "loose", "validmark", "accept-local", "invert")
	case "connbytes":
		return unknowable("connbytes", "connbytes=1", "connbytes-dir=1", "connbytes-mode=1")
	case "connlabel":
		return unknowable("connlabel", "label=1", "set")
	case "helper":
		return unknowable("helper", "helper=1")
	case "cgroup":
		return unknowable("cgroup", "path=1", "cgroup=1")
	case "cluster":
		return unknowable("cluster", "cluster-total-nodes=1", "cluster-local-node=1", "cluster-local-nodemask=1",
			"cluster-hash-seed=1")
	case "rateest":
		return unknowable("rateest", "rateest1=1", "rateest2=1", "rateest=1", "rateest-delta", "rateest-bps=1",
			"rateest-pps=1", "rateest-bps1=1", "rateest-bps2=1", "rateest-pps1=1", "rateest-pps2=1", "rateest-lt",
			"rateest-gt", "rateest-eq")
	case "nfacct":
		return unknowable("nfacct", "nfacct-name=1")
	case "osf":
		return unknowable("osf", "genre=1", "ttl=1", "log=1")
	case "ipvs":
		return unknowable("ipvs", "ipvs", "vproto=1", "vaddr=1", "vport=1", "vdir=1", "vmethod=1", "vportctl=1")
	case "l2tp":
		return unknowable("l2tp", "tid=1", "sid=1", "pversion=1", "type=1")
	case "tcpmss":
		return mayDrop("tcpmss", "mss=1")
	}
	return unknowable6(name)
}

// unknowable6 has the matches of IPv6's extension headers.
func unknowable6(name string) *spec {
	switch name {
	case "frag":
		return mayDrop("frag", "fragid=1", "fraglen=1", "fragres", "fragfirst", "fragmore", "fraglast")
	case "rt":
		return mayDrop("rt", "rt-type=1", "rt-segsleft=1", "rt-len=1", "rt-0-res", "rt-0-addrs=1", "rt-0-not-strict")
	case "hbh":
		return mayDrop("hbh", "hbh-len=1", "hbh-opts=1", "hbh-not-strict")
	case "dst":
		return mayDrop("dst", "dst-len=1", "dst-opts=1", "dst-not-strict")
	case "ipv6header":
		return mayDrop("ipv6header", "header=1", "soft")
	case "mh":
		return mayDrop("mh", "mh-type=1")
	case "srh":
		return unknowable("srh", "srh-next-hdr=1", "srh-hdr-len-eq=1", "srh-hdr-len-gt=1", "srh-hdr-len-lt=1",
			"srh-segs-left-eq=1", "srh-segs-left-gt=1", "srh-segs-left-lt=1", "srh-last-entry-eq=1",
			"srh-last-entry-gt=1", "srh-last-entry-lt=1", "srh-tag=1", "srh-psid=1", "srh-nsid=1", "srh-lsid=1")
	case "eui64":
		return mayDrop("eui64")
	}
	return nil
}

func unknowable(kind string, options ...string) *spec {
	return newSpec(func(b *builder, e *extension) error {
		b.cannotKnow(e, kind)
		return nil
	}, options...)
}

// mayDrop is for matches that drop packets which they cannot look at.
func mayDrop(kind string, options ...string) *spec {
	return newSpec(func(b *builder, e *extension) error {
		b.emit(&ruleset.Opaque{Kind: kind, Understood: true, MayFail: true, MayDrop: true, Text: e.text()})
		return nil
	}, options...)
}

// buildRecent: --set always matches, negated never (recent_mt of xt_recent.c).
func buildRecent(b *builder, e *extension) error {
	o, set := e.find("set")
	switch {
	case !set:
		b.cannotKnow(e, "recent")
	case o.neg:
		b.emit(&ruleset.Any{Text: e.text()})
	}
	return nil
}
