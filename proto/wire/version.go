package wire

import "fmt"

// Protocol versions this build speaks, both ends included. A runner sends its range
// in Hello, the hub answers with the highest that both know.
const (
	MinProtocolVersion uint32 = 1
	MaxProtocolVersion        = ProtocolLogFilters
)

// ProtocolLogFilters is the version from which on a runner knows the log filters and the log
// limit of a Spec. One that speaks an earlier version passes over those fields and stores in
// clear what they were to hide, so it must never be granted a job that has them.
const ProtocolLogFilters uint32 = 2

// NegotiateVersion returns the highest version that both ranges hold. The error says
// which side is too old, since that is the one to upgrade.
func NegotiateVersion(peerMin, peerMax uint32) (uint32, error) {
	switch {
	case peerMin == 0 || peerMax < peerMin:
		return 0, fmt.Errorf("the peer states no valid protocol range (%d to %d)", peerMin, peerMax)
	case peerMax < MinProtocolVersion:
		return 0, fmt.Errorf("the peer speaks protocol %d to %d, this side %d to %d: upgrade the peer", peerMin, peerMax, MinProtocolVersion, MaxProtocolVersion)
	case peerMin > MaxProtocolVersion:
		return 0, fmt.Errorf("the peer speaks protocol %d to %d, this side %d to %d: upgrade this side", peerMin, peerMax, MinProtocolVersion, MaxProtocolVersion)
	}
	return min(peerMax, MaxProtocolVersion), nil
}
