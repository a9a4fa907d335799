package com.github.liftoffmq.interop;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.common.message.MessageExt;

/** What one consumer got, in the order in which its listener was called. */
final class Received {
    /** How many listeners are at work on a queue of a group: across all consumers of this program. */
    private static final Map<String, AtomicInteger> AT_WORK = new ConcurrentHashMap<>();

    /** Numbers what comes, across all consumers of this program. */
    private static final AtomicLong ARRIVALS = new AtomicLong();

    private final List<Form> messages = new ArrayList<>();

    synchronized void add(MessageExt message, boolean overlapped) throws Exception {
        messages.add(Messages.received(message)
            .add("at", System.currentTimeMillis())
            .add("seq", ARRIVALS.incrementAndGet())
            .add("overlapped", overlapped ? 1 : 0));
        notifyAll();
    }

    /** Adds a message with all its properties, those of the system too. */
    synchronized void addWhole(MessageExt message) throws Exception {
        Form form = Messages.received(message);
        for (Map.Entry<String, String> property : message.getProperties().entrySet()) {
            if (!form.has("p." + property.getKey())) {
                form.add("p." + property.getKey(), property.getValue());
            }
        }
        messages.add(form.add("at", System.currentTimeMillis()).add("seq", ARRIVALS.incrementAndGet()));
        notifyAll();
    }

    /** Calls the listener's work and says whether another was at work on the same queue for the same group meanwhile. */
    static boolean overlaps(String group, MessageExt message, int workMillis) throws InterruptedException {
        String key = group + "/" + message.getTopic() + "/" + message.getQueueId();
        AtomicInteger count = AT_WORK.computeIfAbsent(key, k -> new AtomicInteger());
        boolean overlapped = count.incrementAndGet() > 1;
        try {
            if (workMillis > 0) {
                Thread.sleep(workMillis);
            }
            return overlapped || count.get() > 1;
        } finally {
            count.decrementAndGet();
        }
    }

    /** Waits until count messages have come in all, or the time is up, and tells those from the given one on. */
    synchronized Form seen(Form in) throws InterruptedException {
        long end = System.currentTimeMillis() + in.number("timeout", 0);
        for (long left = in.number("timeout", 0); messages.size() < in.number("count", 0) && left > 0;
             left = end - System.currentTimeMillis()) {
            wait(left);
        }
        Form answer = new Form();
        for (Form message : messages.subList(Math.min(in.number("from", 0), messages.size()), messages.size())) {
            answer.add("m", message);
        }
        return answer;
    }
}
