package protocol

import "testing"

func TestVersionName(t *testing.T) {
	t.Parallel()
	for n, want := range map[int32]string{0: "V3_0_0", 17: "V3_0_1", 45: "V3_0_15", VersionV3_1_8: "V3_1_8", 85: "V3_2_9", 86: "V3_3_1_SNAPSHOT", VersionV3_4_9: "V3_4_9", 211: "V3_9_9",
		212: "V4_0_0_SNAPSHOT", VersionV4_9_4: "V4_9_4", 411: "V4_9_9", 413: "V5_0_0", VersionCurrent: "V5_5_0", 611: "V5_9_9", 612: "HIGHER_VERSION", 1 << 30: "HIGHER_VERSION", -1: "V3_0_0"} {
		if got := VersionName(n); got != want {
			t.Errorf("version %d is %s, want %s", n, got, want)
		}
	}
}
