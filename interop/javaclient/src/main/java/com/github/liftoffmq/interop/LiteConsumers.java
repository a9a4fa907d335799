package com.github.liftoffmq.interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The commands of lite pull consumers, each polled by a thread of its own. */
final class LiteConsumers {
    private static final class Polling extends Thread {
        private final DefaultLitePullConsumer consumer;
        private final Received received = new Received();
        private volatile boolean stop;

        Polling(DefaultLitePullConsumer consumer) {
            this.consumer = consumer;
        }

        @Override
        public void run() {
            try {
                while (!stop) {
                    for (MessageExt message : consumer.poll(200)) {
                        received.add(message, false);
                    }
                }
            } catch (Exception e) {
                e.printStackTrace();
            }
        }
    }

    private final Map<String, Polling> consumers = new ConcurrentHashMap<>();

    void register(Map<String, Program.Command> commands) {
        commands.put("lite", this::start);
        commands.put("lite.seen", in -> consumers.get(in.text("name")).received.seen(in));
        commands.put("lite.seek", this::seek);
        commands.put("lite.committed", this::committed);
        commands.put("lite.close", this::close);
    }

    /** With "assign", takes all queues; else subscribes as one of its group. */
    private Form start(Form in) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(in.text("group"));
        Settings.apply(in, consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.valueOf("CONSUME_FROM_" + in.text("from", "FIRST_OFFSET")));
        consumer.setAutoCommitIntervalMillis(1000);
        if (!in.flag("assign")) {
            if (in.has("sql")) {
                consumer.subscribe(in.text("topic"), MessageSelector.bySql(in.text("sql")));
            } else {
                consumer.subscribe(in.text("topic"), in.text("tags", "*"));
            }
        }
        consumer.start();
        if (in.flag("assign")) {
            consumer.assign(consumer.fetchMessageQueues(in.text("topic")));
        }
        Polling polling = new Polling(consumer);
        consumers.put(in.text("name"), polling);
        polling.start();
        return new Form();
    }

    private Form seek(Form in) throws Exception {
        DefaultLitePullConsumer consumer = consumers.get(in.text("name")).consumer;
        for (MessageQueue queue : consumer.fetchMessageQueues(in.text("topic"))) {
            consumer.seek(queue, in.offset("offset"));
        }
        return new Form();
    }

    private Form committed(Form in) throws Exception {
        DefaultLitePullConsumer consumer = consumers.get(in.text("name")).consumer;
        Form answer = new Form();
        for (MessageQueue queue : consumer.fetchMessageQueues(in.text("topic"))) {
            answer.add("q", queue.getQueueId() + ":" + consumer.committed(queue));
        }
        return answer;
    }

    private Form close(Form in) throws InterruptedException {
        Polling polling = consumers.remove(in.text("name"));
        if (polling != null) {
            polling.stop = true;
            polling.join();
            polling.consumer.shutdown();
        }
        return new Form();
    }
}
