package com.github.liftoffmq.interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/** The commands of push consumers: each keeps what it got until it is asked. */
final class PushConsumers {
    private final Map<String, DefaultMQPushConsumer> consumers = new ConcurrentHashMap<>();
    private final Map<String, Received> received = new ConcurrentHashMap<>();

    void register(Map<String, Program.Command> commands) {
        commands.put("push", this::start);
        commands.put("push.seen", in -> received.get(in.text("name")).seen(in));
        commands.put("push.close", this::close);
    }

    private Form start(Form in) throws Exception {
        String name = in.text("name");
        String group = in.text("group");
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        Settings.apply(in, consumer);
        if (in.has("sql")) {
            consumer.subscribe(in.text("topic"), MessageSelector.bySql(in.text("sql")));
        } else {
            consumer.subscribe(in.text("topic"), in.text("tags", "*"));
        }
        consumer.setConsumeFromWhere(ConsumeFromWhere.valueOf("CONSUME_FROM_" + in.text("from", "FIRST_OFFSET")));
        consumer.setConsumeTimestamp(in.text("timestamp", consumer.getConsumeTimestamp()));
        consumer.setConsumeThreadMin(in.number("threads", 1));
        consumer.setConsumeThreadMax(in.number("threads", 1));
        consumer.setPullBatchSize(in.number("pullBatch", 32));
        consumer.setPullTimeDelayMillsWhenException(500);
        setModel(consumer, in.text("model", "CLUSTERING"));

        Received messages = new Received();
        received.put(name, messages);
        int work = in.number("work", 0);
        if (in.flag("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (list, context) -> {
                take(messages, group, work, list);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (list, context) -> {
                take(messages, group, work, list);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        // By default shutdown commits without waiting for listeners that are about to return, so that what they had comes again.
        consumer.setAwaitTerminationMillisWhenShutdown(5_000);
        consumer.start();
        consumers.put(name, consumer);
        return new Form();
    }

    private static void take(Received messages, String group, int work, Iterable<MessageExt> list) {
        try {
            for (MessageExt message : list) {
                messages.add(message, Received.overlaps(group, message, work));
            }
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** The class of the model lies in another package in each generation; its names are the same. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void setModel(DefaultMQPushConsumer consumer, String model) throws Exception {
        Class type = consumer.getMessageModel().getClass();
        DefaultMQPushConsumer.class.getMethod("setMessageModel", type).invoke(consumer, Enum.valueOf(type, model));
    }

    private Form close(Form in) {
        DefaultMQPushConsumer consumer = consumers.remove(in.text("name"));
        if (consumer != null) {
            consumer.shutdown();
        }
        return new Form();
    }
}
