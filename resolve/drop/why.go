package drop

// Why is one cause with what would mend it.
type Why struct {
	// Code is stable: see the Code constants.
	Code    string `json:"code"`
	Message string `json:"message"`
	// Fix is a command for the shell, quoted for it. Words in capitals that the
	// engineer has to choose are in it where Message says so.
	Fix string `json:"fix,omitempty"`
}

// Codes of causes.
const (
	WhyPolicyDrop             = "policy-drop-no-accept"
	WhyAcceptBelowDrop        = "accept-below-drop"
	WhyEstablishedNotAccepted = "established-not-accepted"
	WhyEstablishedBelowDrop   = "established-below-drop"
	WhyListeningNotAllowed    = "listening-not-allowed"
	WhySourceTooNarrow        = "source-too-narrow"
	WhyDestinationTooNarrow   = "destination-too-narrow"
	WhyInterfaceMismatch      = "interface-mismatch"
	WhyOtherFamily            = "other-family"
	WhyForwardDropped         = "forward-dropped"
	WhyIPForwardOff           = "ip-forward-off"
	WhyNATNotMatched          = "nat-not-matched"
	WhyDNATBeforeForward      = "dnat-before-forward"
	WhyConntrackTableFull     = "conntrack-table-full"
	WhyConntrackInsertFailed  = "conntrack-insert-failed"
	WhyConntrackInvalid       = "conntrack-invalid"
	WhyConntrackStale         = "conntrack-stale"
	WhyMarked                 = "marked"
	WhyNoEndpoints            = "service-no-endpoints"
	WhyNoTunnelTarget         = "no-tunnel-target"
	WhyQueueDropped           = "queue-dropped"
	WhyDockerIsolation        = "docker-isolation"
	WhyDockerUnpublished      = "docker-unpublished"
	WhyHelperMissing          = "helper-missing"
	WhyUntracked              = "untracked"
	WhyRateLimit              = "rate-limit"
	WhySetMember              = "set-member"
	WhyVerdictMap             = "verdict-map"
	WhyReversePath            = "rp-filter"
	WhyMartian                = "martian"
	WhyNoRoute                = "no-route"
	WhyNotLocal               = "not-local"
	WhyRouteRefuses           = "route-refuses"
	WhyNeighbourSilent        = "neighbour-silent"
	WhyLinkDown               = "link-down"
	WhyTooBig                 = "too-big"
	WhyOtherHost              = "other-host"
	WhyNoListener             = "no-listener"
	WhyTTLExpired             = "ttl"
	WhyBadChecksum            = "checksum"
	WhyBridgeNetfilter        = "bridge-netfilter"
	WhyTwoManagers            = "two-managers"
	WhyICMPBlocked            = "icmp-blocked"
	WhyMeantDrop              = "meant-drop"
	WhyQueueWithoutListener   = "queue-without-listener"
	WhyConnectionUnknown      = "connection-unknown"
	WhyAcceptQueueFull        = "accept-queue-full"
	WhyReceiveBufferFull      = "receive-buffer-full"
	WhyDeferredAccept         = "deferred-accept"
	WhyExtensionHeader        = "extension-header"
	WhyHairpin                = "hairpin"
	WhyOwnerMismatch          = "owner-mismatch"
	WhyEchoToBroadcast        = "echo-to-broadcast"
	WhyRuleMatches            = "rule-matches"
	WhyNATRedirect            = "nat-redirect"
	WhySocketFilter           = "socket-filter"
	WhyCgroupProgram          = "cgroup-program"
	WhySecurityModule         = "security-module"
)
