package symbol

import "strings"

// isMessage reports functions whose buffers are no packets: netlink and generic
// netlink messages, unix and vsock sockets, audit records, Bluetooth. Most are
// notifications that nobody was there to read.
//
// It goes by prefix and suffix because there are some 300 of them, which come and
// go; the packet paths have none of these names (testdata/places.txt).
func isMessage(symbol string) bool {
	switch symbol {
	case "rtnl_unlock", "__rtnl_unlock", "rtnl_link_unregister":
		return false // packets of a queueing discipline that was reset
	case "unix_gc", "__unix_gc", "rtmsg_fib", "rtmsg_ifa", "rtmsg_ifinfo_build_skb",
		"fib6_rt_update", "fib6_info_hw_flags_set", "fib_alias_hw_flags_set",
		"ip6_route_del", "addrconf_prefix_rcv", "ndisc_router_discovery", "__ipv6_ifa_notify",
		"inet6_netconf_get_devconf", "inet_netconf_get_devconf",
		"inet6_netconf_notify_devconf", "inet_netconf_notify_devconf",
		"neigh_get", "ip6addrlbl_get", "notify_rule_change", "nh_res_bucket_migrate", "nh_res_table_upkeep",
		"__tcf_chain_put", "tca_action_flush", "tca_action_gd", "tcf_action_add",
		"tcf_action_reoffload_cb", "tcf_reoffload_del_notify_msg",
		"tc_ctl_tclass", "tc_del_tfilter", "tc_get_qdisc", "tfilter_notify_prep",
		"ioam6_event", "__em_notify_pd_table", "em_notify_pd_deleted", "tls_handshake_accept",
		"mptcp_userspace_pm_get_addr", "quota_send_warning", "prepare_reply", "__nfulnl_send":
		return true
	}
	for _, prefix := range []string{
		"netlink_", "__netlink_", "nfnetlink_", "nf_tables_", "nfnl_", "ctnetlink_",
		"rtnl_", "rtm_", "genl", "ctrl_", "devlink_", "__devlink_", "ethnl_", "dcb_", "dcbnl_",
		"nl80211_", "netlbl_", "tcp_metrics_nl_", "mptcp_nl_", "mptcp_pm_nl_", "mptcp_event", "netdev_nl_", "net_shaper_nl_",
		"sock_diag_", "audit_", "auditd_", "kauditd_", "taskstats_", "cgroupstats_", "cn_", "thermal_genl_",
		"seg6_genl_", "unix_", "vsock_", "virtio_vsock_", "virtio_transport_", "vhost_vsock_",
		"hci_", "l2cap_", "sco_", "rfcomm_", "mgmt_",
	} {
		if strings.HasPrefix(symbol, prefix) {
			return true
		}
	}
	for _, suffix := range []string{"_notify", "_doit", "_netlink_event", "_rtm_getroute", "_rtm_getaddr", "_genl_notify"} {
		if strings.HasSuffix(symbol, suffix) {
			return true
		}
	}
	return false
}
