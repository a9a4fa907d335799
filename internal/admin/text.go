package admin

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/liftoffmq/liftoff/internal/fastjson"
	"github.com/liftoffmq/liftoff/internal/protocol"
)

// javaDouble is a number as Double.toString writes it: 0.0, 12.5, 1.0E7.
func javaDouble(v float64) string {
	if abs := math.Abs(v); abs != 0 && (abs < 1e-3 || abs >= 1e7) && !math.IsInf(v, 0) {
		text := strconv.FormatFloat(v, 'E', -1, 64)
		digits, exponent, _ := strings.Cut(text, "E")
		if !strings.Contains(digits, ".") {
			digits += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return fmt.Sprintf("%sE%d", digits, n)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// attributesText is a map of attributes as Java prints it.
func attributesText(m map[string]string) string {
	var pairs []pair
	for _, name := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, pair{name, m[name]})
	}
	return javaMap(16, pairs)
}

// permText is a topic's permission: RW-.
func permText(perm int32) string {
	text := []byte("---")
	for i, bit := range []int32{protocol.PermRead, protocol.PermWrite, protocol.PermInherit} {
		if perm&bit != 0 {
			text[i] = "RWX"[i]
		}
	}
	return string(text)
}

func topicText(t *protocol.TopicConfig) string {
	return fmt.Sprintf("TopicConfig [topicName=%s, readQueueNums=%d, writeQueueNums=%d, perm=%s, topicFilterType=%s, topicSysFlag=%d, order=%t, attributes=%s]",
		t.TopicName, t.ReadQueueNums, t.WriteQueueNums, permText(t.Perm), t.TopicFilterType, t.TopicSysFlag, t.Order, attributesText(t.Attributes))
}

func groupText(g *protocol.SubscriptionGroupConfig) string {
	var list []string
	for _, f := range groupFields(g) {
		list = append(list, f.name+"="+f.value)
	}
	return "SubscriptionGroupConfig{" + strings.Join(list, ", ") + "}"
}

// groupFields are the fields of a group in the order of Java's class.
func groupFields(g *protocol.SubscriptionGroupConfig) []pair {
	subscriptions := "null"
	if g.SubscriptionDataSet != nil {
		subscriptions = string(g.SubscriptionDataSet)
	}
	return []pair{
		{"groupName", g.GroupName},
		{"consumeEnable", strconv.FormatBool(g.ConsumeEnable)},
		{"consumeFromMinEnable", strconv.FormatBool(g.ConsumeFromMinEnable)},
		{"consumeBroadcastEnable", strconv.FormatBool(g.ConsumeBroadcastEnable)},
		{"consumeMessageOrderly", strconv.FormatBool(g.ConsumeMessageOrderly)},
		{"retryQueueNums", fmt.Sprint(g.RetryQueueNums)},
		{"retryMaxTimes", fmt.Sprint(g.RetryMaxTimes)},
		{"groupRetryPolicy", policyText(&g.GroupRetryPolicy)},
		{"brokerId", fmt.Sprint(g.BrokerID)},
		{"whichBrokerWhenConsumeSlowly", fmt.Sprint(g.WhichBrokerWhenConsumeSlowly)},
		{"notifyConsumerIdsChangedEnable", strconv.FormatBool(g.NotifyConsumerIDsChangedEnable)},
		{"groupSysFlag", fmt.Sprint(g.GroupSysFlag)},
		{"consumeTimeoutMinute", fmt.Sprint(g.ConsumeTimeoutMinute)},
		{"subscriptionDataSet", subscriptions},
		{"attributes", attributesText(g.Attributes)},
	}
}

func policyText(p *protocol.GroupRetryPolicy) string {
	exponential, customized := "null", "null"
	if p.ExponentialRetryPolicy != nil {
		e := struct{ Initial, Max, Multiplier int64 }{5000, 7200000, 2}
		_ = fastjson.Unmarshal(p.ExponentialRetryPolicy, &e) // it was checked when it was read
		exponential = fmt.Sprintf("ExponentialRetryPolicy{initial=%d, max=%d, multiplier=%d}", e.Initial, e.Max, e.Multiplier)
	}
	if p.CustomizedRetryPolicy != nil {
		var c struct{ Next []int64 }
		_ = fastjson.Unmarshal(p.CustomizedRetryPolicy, &c)
		customized = "CustomizedRetryPolicy{next=[" + strings.ReplaceAll(strings.Trim(fmt.Sprint(c.Next), "[]"), " ", ", ") + "]}"
	}
	return fmt.Sprintf("GroupRetryPolicy{type=%s, exponentialRetryPolicy=%s, customizedRetryPolicy=%s}", p.Type, exponential, customized)
}
