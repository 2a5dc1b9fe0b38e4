package symbol

import "strings"

// explainWiFi is for enum mac80211_drop_reason (net/mac80211/drop.h): frames that the
// receive path refuses. Until 6.17 a few of them were of a subsystem of their own, with
// an M in place of the U.
func explainWiFi(reason string) string {
	name, ok := strings.CutPrefix(reason, "RX_DROP_")
	if !ok {
		return ""
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "U_"), "M_")
	for _, explain := range []func(string) string{explainWiFiKey, explainWiFiFrame} {
		if text := explain(name); text != "" {
			return "Wi-Fi: " + text
		}
	}
	return "Wi-Fi: mac80211 refused the frame"
}

// explainWiFiKey is for what encryption and integrity checks refuse.
func explainWiFiKey(name string) string {
	switch name {
	case "MIC_FAIL", "MMIC_FAIL":
		return "its integrity check failed: forged, damaged, or with an old key"
	case "REPLAY", "NONSEQ_PN":
		return "its packet number was used before or is out of order (replay)"
	case "BAD_MMIE", "SHORT_MMIC":
		return "a management frame without a valid integrity element"
	case "DECRYPT_FAIL", "WEP_DEC_FAIL", "TKIP_FAIL":
		return "it could not be decrypted"
	case "NO_KEY_ID", "BAD_BCN_KEYIDX", "BAD_MGMT_KEYIDX":
		return "it names no key, or one that is not there"
	case "BAD_CIPHER", "BAD_AMSDU_CIPHER":
		return "it uses a cipher that is not allowed for it"
	case "BAD_KEY_COLOR":
		return "a fragment with another key than the first one"
	case "NO_IV", "NO_ICV", "SHORT_TKIP", "SHORT_CCMP", "SHORT_CCMP_MIC", "SHORT_GCMP", "SHORT_GCMP_MIC",
		"SHORT_CMAC", "SHORT_CMAC256", "SHORT_GMAC":
		return "it is too short for its encryption"
	case "UNPROT_ACTION", "UNPROT_DUAL", "UNPROT_UCAST_MGMT", "UNPROT_MCAST_MGMT", "UNPROT_BEACON",
		"UNPROT_UNICAST_PUB_ACTION", "UNPROT_ROBUST_ACTION":
		return "a management frame that has to be protected, and is not"
	case "EXPECT_DEFRAG_PROT":
		return "fragments that have to be protected, and are not"
	}
	return ""
}

func explainWiFiFrame(name string) string {
	switch name {
	case "DUP":
		return "a frame that had arrived before"
	case "SPURIOUS":
		return "a frame of a station that is not associated"
	case "OOM":
		return "memory is short"
	case "BAD_4ADDR", "UNEXPECTED_4ADDR_FRAME":
		return "a frame with four addresses (WDS), which is not expected here"
	case "BAD_AMSDU":
		return "an aggregated frame (A-MSDU) that is malformed"
	case "INVALID_8023":
		return "no Ethernet frame can be made of it"
	case "RUNT_ACTION":
		return "an action frame that is too short"
	case "ACTION_UNKNOWN_SRC":
		return "an action frame of a station that is not known"
	case "REJECTED_ACTION_RESPONSE":
		return "the answer to an action frame that was refused"
	case "AP_RX_GROUPCAST":
		return "a group frame that was sent to an access point"
	}
	return ""
}
