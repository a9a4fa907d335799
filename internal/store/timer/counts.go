package timer

// Counts are how many messages of each topic wait.
func (t *Timer) Counts() map[string]int64 {
	t.metrics.mu.Lock()
	defer t.metrics.mu.Unlock()
	counts := make(map[string]int64, len(t.metrics.byTopic))
	for topic, v := range t.metrics.byTopic {
		counts[topic] = v.Count
	}
	return counts
}

// WaitsBetween is how many messages wait in slots from one time on and before another. What is rolled counts where it waits now.
func (t *Timer) WaitsBetween(from, to int64) (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from = max(t.floor(from), t.read)
	for t.waiting > 0 && from < to {
		at, ok := t.wheel.next(from)
		if !ok || at >= to {
			break
		}
		if s, ours, err := t.wheel.get(at); err == nil && ours {
			n += int64(s.number)
		}
		from = at + t.precision
	}
	return n
}
