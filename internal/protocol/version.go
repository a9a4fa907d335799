package protocol

import "fmt"

// VersionName is Apache's name of a version, V5_5_0 for 513. Its list has a snapshot and a release of each: from 4.0.0 on with ten patches
// a minor version, in 3.3 to 3.9 with nine, for these begin with 1.
func VersionName(n int32) string {
	const highest = 212 + 2*100*2
	name := func(major, minor, first, at int32) string {
		suffix := "_SNAPSHOT"
		if at%2 == 1 {
			suffix = ""
		}
		return fmt.Sprintf("V%d_%d_%d%s", major, minor, first+at/2, suffix)
	}
	switch {
	case n >= highest:
		return "HIGHER_VERSION"
	case n >= 212:
		n -= 212
		return name(4+n/200, n%200/20, 0, n%20)
	case n >= 86:
		n -= 86
		return name(3, 3+n/18, 1, n%18)
	case n >= 46:
		n -= 46
		return name(3, 1+n/20, 0, n%20)
	case n >= 16:
		return name(3, 0, 1, n-16)
	}
	return "V3_0_0"
}
