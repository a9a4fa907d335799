package com.github.liftoffmq.admin;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.admin.MQAdminExt;

/**
 * What there is to administer: topics with messages in known queues, a producer, and a group of each kind at work. It is
 * the same on every cluster, in the same order, so that all answers about it can be the same.
 */
final class Scene {
    static final String CLUSTER = "DefaultCluster";
    static final String BROKER = "broker-a";

    static final String PLAIN = "plain";
    static final String ORDERED = "ordered";
    static final String POPPED = "popped";
    static final String WAITING = "waiting"; // nobody consumes it

    static final String PRODUCERS = "producers";
    static final String PUSH = "group_push";
    static final String ORDERLY = "group_orderly";
    static final String BROADCAST = "group_broadcast";
    static final String PULL = "group_pull";
    static final String POP = "group_pop";
    static final String ABSENT = "group_absent"; // has offsets, but no consumer

    /** What every client says its address is. */
    private static final String IP = "10.1.2.3";
    private static final int QUEUES = 4;
    private static final int EACH = 5;

    final String namesrv;
    final String broker;
    final Map<String, SendResult> sent = new TreeMap<>(); // by key
    private final Map<String, Integer> consumed = new ConcurrentHashMap<>(); // messages, by group
    private final List<Runnable> closes = new ArrayList<>();

    DefaultMQProducer producer;
    TransactionMQProducer transactions;
    DefaultMQPushConsumer push;
    private final List<DefaultMQPushConsumer> pushes = new ArrayList<>();
    private DefaultLitePullConsumer pull;

    Scene(String namesrv, String broker) {
        this.namesrv = namesrv;
        this.broker = broker;
    }

    DefaultMQAdminExt admin(String name) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(20000L);
        admin.setAdminExtGroup(name);
        own(admin, name);
        return admin;
    }

    private void own(ClientConfig client, String name) {
        client.setNamesrvAddr(namesrv);
        client.setClientIP(IP);
        client.setInstanceName(name);
        client.setMqClientApiTimeout(20000);
        client.setHeartbeatBrokerInterval(1000);
        client.setPollNameServerInterval(1000);
    }

    static String clientId(String group) {
        return IP + "@" + group;
    }

    interface Check {
        boolean holds() throws Exception;
    }

    /** Waits for what another process has yet to do. */
    static void until(String what, Check check) throws Exception {
        Exception last = null;
        for (long end = System.nanoTime() + 60_000_000_000L; System.nanoTime() < end; Thread.sleep(50)) {
            try {
                if (check.holds()) {
                    return;
                }
            } catch (Exception e) {
                last = e;
            }
        }
        throw new IllegalStateException("this did not come about: " + what, last);
    }

    /** Makes the topics by the one, looks whether they are there by the other. */
    void makeTopics(MQAdminExt by, MQAdminExt look) throws Exception {
        for (String topic : new String[] {PLAIN, ORDERED, POPPED, WAITING}) {
            TopicConfig config = new TopicConfig(topic, QUEUES, QUEUES, 6, 0);
            by.createAndUpdateTopicConfig(broker, config);
        }
        for (String topic : new String[] {PLAIN, ORDERED, POPPED, WAITING}) {
            until("a route to " + topic, () -> !look.examineTopicRouteInfo(topic).getBrokerDatas().isEmpty());
        }
    }

    void produce() throws Exception {
        producer = new DefaultMQProducer(PRODUCERS);
        own(producer, PRODUCERS);
        producer.setSendMsgTimeout(20000);
        producer.start();
        closes.add(producer::shutdown);
        for (String topic : new String[] {PLAIN, ORDERED, POPPED, WAITING}) {
            for (int queue = 0; queue < QUEUES; queue++) {
                for (int i = 0; i < EACH; i++) {
                    send(topic, queue, topic + "-" + queue + "-" + i, i % 2 == 0 ? "even" : "odd");
                }
            }
        }
        transactions = new TransactionMQProducer("transactions");
        own(transactions, "transactions");
        transactions.setSendMsgTimeout(20000);
        transactions.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return (LocalTransactionState) argument;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        transactions.start();
        closes.add(transactions::shutdown);
    }

    SendResult send(String topic, int queue, String key, String tag) throws Exception {
        Message message = new Message(topic, tag, key, ("body of " + key).getBytes(StandardCharsets.UTF_8));
        message.putUserProperty("own", key);
        SendResult result = producer.send(message, new MessageQueue(topic, BROKER, queue));
        sent.put(key, result);
        return result;
    }

    /** Starts the consumers, and waits until they have what there is and the broker knows that. */
    void consume(MQAdminExt look) throws Exception {
        push = start(PUSH, PLAIN, "even || odd", MessageModel.CLUSTERING, false);
        start(ORDERLY, ORDERED, "*", MessageModel.CLUSTERING, true);
        start(BROADCAST, PLAIN, "*", MessageModel.BROADCASTING, false);
        look.setMessageRequestMode(broker, POPPED, POP, MessageRequestMode.POP, 8, 20000);
        DefaultMQPushConsumer pop = prepare(POP, POPPED, "*", MessageModel.CLUSTERING, false);
        pop.setClientRebalance(false);
        pop.start();
        pullSome();
        for (String group : new String[] {PUSH, ORDERLY, BROADCAST, POP}) {
            until("messages at " + group, () -> consumed.getOrDefault(group, 0) >= QUEUES * EACH);
        }
        commit();
        for (String group : new String[] {PUSH, ORDERLY, PULL, POP}) {
            String topic = group.equals(ORDERLY) ? ORDERED : group.equals(POP) ? POPPED : PLAIN;
            until("offsets of " + group, () -> look.examineConsumeStats(broker, group, topic, 20000).computeTotalDiff() == 0);
        }
        for (String group : new String[] {PUSH, ORDERLY, BROADCAST, PULL, POP}) {
            until("a connection of " + group, () -> !look.examineConsumerConnectionInfo(group, broker).getConnectionSet().isEmpty());
        }
    }

    /** Tells the broker how far the consumers are, which they would do by themselves only after a while. */
    void commit() {
        for (DefaultMQPushConsumer consumer : pushes) {
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
        }
        pull.commitSync();
    }

    int consumed(String group) {
        return consumed.getOrDefault(group, 0);
    }

    private DefaultMQPushConsumer start(String group, String topic, String tags, MessageModel model, boolean orderly) throws Exception {
        DefaultMQPushConsumer consumer = prepare(group, topic, tags, model, orderly);
        consumer.start();
        return consumer;
    }

    private DefaultMQPushConsumer prepare(String group, String topic, String tags, MessageModel model, boolean orderly) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        own(consumer, group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setMessageModel(model);
        consumer.setConsumeThreadMin(1);
        consumer.setConsumeThreadMax(2);
        consumer.subscribe(topic, tags);
        if (orderly) {
            consumer.registerMessageListener((MessageListenerOrderly) (list, context) -> {
                consumed.merge(group, list.size(), Integer::sum);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (list, context) -> {
                consumed.merge(group, list.size(), Integer::sum);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        pushes.add(consumer);
        closes.add(consumer::shutdown);
        return consumer;
    }

    private void pullSome() throws Exception {
        pull = new DefaultLitePullConsumer(PULL);
        own(pull, PULL);
        pull.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        pull.setAutoCommit(false);
        pull.subscribe(PLAIN, "*");
        pull.start();
        closes.add(pull::shutdown);
        int[] got = {0};
        until("messages pulled", () -> (got[0] += pull.poll(200).size()) >= QUEUES * EACH);
    }

    void close() {
        closes.forEach(Runnable::run);
    }
}
