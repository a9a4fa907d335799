package com.github.liftoffmq.interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Producers of transactions and push consumers that trace what they do. */
final class Traces {
    private final Map<String, DefaultMQPushConsumer> consumers = new ConcurrentHashMap<>();
    private final Map<String, TransactionMQProducer> producers = new ConcurrentHashMap<>();
    private final Map<String, Integer> consumed = new ConcurrentHashMap<>();

    void register(Map<String, Program.Command> commands) {
        commands.put("trace.consume", this::consume);
        commands.put("trace.consumed", this::consumed);
        commands.put("trace.close", this::close);
        commands.put("trace.send", this::send);
    }

    /** A consumer that fails with each message so many times. */
    private Form consume(Form in) throws Exception {
        String topic = in.text("traceTopic", "");
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(in.text("group"), true, topic.isEmpty() ? null : topic);
        Settings.apply(in, consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(in.text("topic"), "*");
        int fails = in.number("fails", 0);
        consumer.registerMessageListener((MessageListenerConcurrently) (list, context) -> {
            for (MessageExt message : list) {
                if (message.getReconsumeTimes() < fails) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                consumed.merge(in.text("name"), 1, Integer::sum);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        consumers.put(in.text("name"), consumer);
        return new Form();
    }

    private Form consumed(Form in) {
        return new Form().add("count", consumed.getOrDefault(in.text("name"), 0));
    }

    /** Ends a consumer or producer; what it has traced last may be lost with it, as the client sends that behind. */
    private Form close(Form in) {
        DefaultMQPushConsumer consumer = consumers.remove(in.text("name"));
        if (consumer != null) {
            consumer.shutdown();
        }
        TransactionMQProducer producer = producers.remove(in.text("name"));
        if (producer != null) {
            producer.shutdown();
        }
        return new Form();
    }

    /** Sends a message, in a transaction that ends as told if that is said. */
    private Form send(Form in) throws Exception {
        String topic = in.text("traceTopic", "");
        TransactionMQProducer producer = new TransactionMQProducer(null, in.text("name"), null, true, topic.isEmpty() ? null : topic);
        Settings.apply(in, producer);
        LocalTransactionState state = LocalTransactionState.valueOf(in.text("local", "UNKNOW"));
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return state;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return state;
            }
        });
        producer.start();
        producers.put(in.text("name"), producer);
        if (in.text("local", "").isEmpty()) {
            return new Form().add("msgId", producer.send(Messages.toSend(in)).getMsgId());
        }
        return new Form().add("msgId", producer.sendMessageInTransaction(Messages.toSend(in), null).getMsgId());
    }
}
