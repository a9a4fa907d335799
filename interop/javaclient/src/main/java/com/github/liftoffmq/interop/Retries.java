package com.github.liftoffmq.interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** What is delayed by a level and what fails: producers of the one, consumers of the other. */
final class Retries {
    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();
    private final Map<String, DefaultMQPushConsumer> consumers = new ConcurrentHashMap<>();
    private final Map<String, Received> received = new ConcurrentHashMap<>();

    void register(Map<String, Program.Command> commands) {
        commands.put("delayed", this::send);
        commands.put("delayed.close", this::closeProducer);
        commands.put("failing", this::start);
        commands.put("failing.seen", in -> received.get(in.text("name")).seen(in));
        commands.put("failing.close", this::close);
    }

    /** Sends count messages of a delay level and tells where each is parked. */
    private Form send(Form in) throws Exception {
        DefaultMQProducer producer = producers.get(in.text("name"));
        if (producer == null) {
            producer = new DefaultMQProducer(in.text("name"));
            Settings.apply(in, producer);
            producer.setSendMsgTimeout(10000);
            producer.start();
            producers.put(in.text("name"), producer);
        }
        Form answer = new Form();
        for (int i = 0; i < in.number("count", 1); i++) {
            String key = in.text("prefix") + "-" + i;
            Message message = new Message(in.text("topic"), "T", key, key.getBytes("UTF-8"));
            message.setDelayTimeLevel(in.number("level", 0));
            SendResult sent = producer.send(message);
            answer.add("a", new Form().add("key", key).add("msgId", sent.getMsgId()).add("offsetMsgId", sent.getOffsetMsgId())
                .add("at", System.currentTimeMillis()));
        }
        return answer;
    }

    private Form closeProducer(Form in) {
        DefaultMQProducer producer = producers.remove(in.text("name"));
        if (producer != null) {
            producer.shutdown();
        }
        return new Form();
    }

    /**
     * Starts a consumer whose listener fails with each message until it was tried so many times: concurrently by giving it back, in
     * order by suspending its queue. Only keys that end in what is given fail.
     */
    private Form start(Form in) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(in.text("group"));
        Settings.apply(in, consumer);
        consumer.subscribe(in.text("topic"), "*");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(in.number("threads", 4));
        consumer.setConsumeThreadMax(in.number("threads", 4));
        consumer.setMaxReconsumeTimes(in.number("most", -1));
        consumer.setSuspendCurrentQueueTimeMillis(in.number("suspend", 1000));
        consumer.setPullTimeDelayMillsWhenException(500);
        Received messages = new Received();
        received.put(in.text("name"), messages);
        int fails = in.number("fails", 0);
        int level = in.number("level", 0);
        String only = in.text("only", "");
        if (in.flag("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (list, context) -> {
                return take(messages, list, fails, only) ? ConsumeOrderlyStatus.SUCCESS
                    : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (list, context) -> {
                context.setDelayLevelWhenNextConsume(level);
                return take(messages, list, fails, only) ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS
                    : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
        }
        consumer.start();
        consumers.put(in.text("name"), consumer);
        return new Form();
    }

    private static boolean take(Received messages, Iterable<MessageExt> list, int fails, String only) {
        boolean good = true;
        for (MessageExt message : list) {
            try {
                messages.addWhole(message);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
            String key = message.getKeys() == null ? "" : message.getKeys();
            good = good && (message.getReconsumeTimes() >= fails || !key.endsWith(only));
        }
        return good;
    }

    private Form close(Form in) {
        DefaultMQPushConsumer consumer = consumers.remove(in.text("name"));
        if (consumer != null) {
            consumer.shutdown();
        }
        return new Form();
    }
}
