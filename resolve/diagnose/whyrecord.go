package diagnose

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
	PolicyDrop             = "policy-drop-no-accept"
	AcceptBelowDrop        = "accept-below-drop"
	EstablishedNotAccepted = "established-not-accepted"
	EstablishedBelowDrop   = "established-below-drop"
	ListeningNotAllowed    = "listening-not-allowed"
	SourceTooNarrow        = "source-too-narrow"
	DestinationTooNarrow   = "destination-too-narrow"
	InterfaceMismatch      = "interface-mismatch"
	OtherFamily            = "other-family"
	ForwardDropped         = "forward-dropped"
	IPForwardOff           = "ip-forward-off"
	NATNotMatched          = "nat-not-matched"
	DNATBeforeForward      = "dnat-before-forward"
	ConntrackTableFull     = "conntrack-table-full"
	ConntrackInsertFailed  = "conntrack-insert-failed"
	ConntrackInvalid       = "conntrack-invalid"
	Untracked              = "untracked"
	RateLimit              = "rate-limit"
	SetMember              = "set-member"
	VerdictMap             = "verdict-map"
	ReversePath            = "rp-filter"
	Martian                = "martian"
	NoRoute                = "no-route"
	NotLocal               = "not-local"
	RouteRefuses           = "route-refuses"
	NeighbourSilent        = "neighbour-silent"
	LinkDown               = "link-down"
	TooBig                 = "too-big"
	OtherHost              = "other-host"
	NoListener             = "no-listener"
	TTLExpired             = "ttl"
	BadChecksum            = "checksum"
	BridgeNetfilter        = "bridge-netfilter"
	TwoManagers            = "two-managers"
	ICMPBlocked            = "icmp-blocked"
	MeantDrop              = "meant-drop"
	QueueWithoutListener   = "queue-without-listener"
	ConnectionUnknown      = "connection-unknown"
	AcceptQueueFull        = "accept-queue-full"
	ReceiveBufferFull      = "receive-buffer-full"
	DeferredAccept         = "deferred-accept"
)
