package com.github.liftoffmq.interop;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Requests and replies, tracing, and what an administrator asks of consumers. */
final class Modes {
    private final Producers producers;
    private final Map<String, DefaultMQPushConsumer> repliers = new ConcurrentHashMap<>();
    private final Map<String, DefaultMQProducer> traced = new ConcurrentHashMap<>();

    Modes(Producers producers) {
        this.producers = producers;
    }

    void register(Map<String, Program.Command> commands) {
        commands.put("request", this::request);
        commands.put("replier", this::startReplier);
        commands.put("replier.close", this::closeReplier);
        commands.put("traced", this::sendTraced);
        commands.put("compress", this::compress);
        commands.put("light", this::pullLight);
        commands.put("createBatchTopic", this::createBatchTopic);
        commands.put("admin.raw", this::raw);
        commands.put("admin.reset", this::reset);
        commands.put("admin.status", this::status);
        commands.put("admin.running", this::running);
        commands.put("admin.direct", this::direct);
        commands.put("admin.clone", this::cloneOffsets);
    }

    private Form request(Form in) throws Exception {
        Message reply = producers.of(in).request(Messages.toSend(in), in.number("wait", 20000));
        return new Form().add("m", Messages.received((MessageExt) reply));
    }

    /** A consumer that answers each request with its body and more of the given size. */
    private Form startReplier(Form in) throws Exception {
        DefaultMQProducer producer = producers.of(in);
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(in.text("group"));
        Settings.apply(in, consumer);
        consumer.setInstanceName(in.text("name") + "-consumer");
        // Else what is asked before the consumer has looked where a queue ends is never answered.
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(in.text("topic"), "*");
        StringBuilder more = new StringBuilder();
        while (more.length() < in.number("size", 0)) {
            more.append('.');
        }
        consumer.registerMessageListener((MessageListenerConcurrently) (list, context) -> {
            try {
                for (MessageExt message : list) {
                    byte[] body = ("re: " + new String(message.getBody(), "UTF-8") + more).getBytes("UTF-8");
                    producer.send(MessageUtil.createReplyMessage(message, body), 10000);
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception e) {
                e.printStackTrace();
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
        });
        consumer.start();
        repliers.put(in.text("name"), consumer);
        return new Form();
    }

    private Form closeReplier(Form in) {
        DefaultMQPushConsumer consumer = repliers.remove(in.text("name"));
        if (consumer != null) {
            consumer.shutdown();
        }
        return new Form();
    }

    /** Sends one message with a producer that traces what it does, and ends the producer, which sends the trace. */
    private Form sendTraced(Form in) throws Exception {
        String traceTopic = in.text("traceTopic", "");
        DefaultMQProducer producer = new DefaultMQProducer(in.text("name"), true, traceTopic.isEmpty() ? null : traceTopic);
        Settings.apply(in, producer);
        producer.start();
        try {
            return new Form().add("msgId", producer.send(Messages.toSend(in)).getMsgId());
        } finally {
            producer.shutdown();
        }
    }

    /** Makes a producer compress in another way; only newer clients can. */
    private Form compress(Form in) throws Exception {
        Class<?> type = Class.forName("org.apache.rocketmq.common.compression.CompressionType");
        Object value = type.getMethod("of", String.class).invoke(null, in.text("type"));
        call(producers.of(in), "setCompressType", value);
        return new Form();
    }

    /** A topic whose batches are one record each; only newer clients know of it. */
    private Form createBatchTopic(Form in) throws Exception {
        call(producers.of(in), "createTopic", "TBW102", in.text("topic"), in.number("queues", 1),
            Collections.singletonMap("+queue.type", "BatchCQ"));
        return new Form();
    }

    /** Pulls from a light queue, which no NameServer knows of. */
    @SuppressWarnings("deprecation")
    private Form pullLight(Form in) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(in.text("group"));
        Settings.apply(in, consumer);
        consumer.start();
        try {
            Object rebalance = call(consumer.getDefaultMQPullConsumerImpl(), "getRebalanceImpl");
            String getter = find(rebalance, "getmQClientFactory", 0) != null ? "getmQClientFactory" : "getMqClientFactory";
            call(call(rebalance, getter), "updateTopicRouteInfoFromNameServer", in.text("topic"));
            MessageQueue queue = new MessageQueue(in.text("light"), "broker-a", 0);
            Form answer = new Form();
            long offset = 0;
            for (boolean more = true; more; ) {
                PullResult result = consumer.pull(queue, "*", offset, 32);
                offset = result.getNextBeginOffset();
                more = result.getMsgFoundList() != null && !result.getMsgFoundList().isEmpty();
                for (int i = 0; more && i < result.getMsgFoundList().size(); i++) {
                    answer.add("m", Messages.received(result.getMsgFoundList().get(i)));
                }
            }
            consumer.updateConsumeOffset(queue, offset);
            consumer.getOffsetStore().persist(queue);
            return answer.add("committed", consumer.fetchConsumeOffset(queue, true));
        } finally {
            consumer.shutdown();
        }
    }

    /** Any request, with the fields that begin with "p." and a body. */
    private Form raw(Form in) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(in.number("code", 0), null);
        request.setExtFields(new HashMap<>(in.properties()));
        request.setBody(in.bytes("body"));
        Object remoting = call(api(in), "getRemotingClient");
        RemotingCommand answer = (RemotingCommand) call(remoting, "invokeSync", in.text("broker"), request, 10000L);
        Form told = new Form().add("code", answer.getCode()).add("remark", answer.getRemark());
        if (answer.getExtFields() != null) {
            answer.getExtFields().forEach((key, value) -> told.add("f." + key, value));
        }
        if (answer.getBody() != null) {
            told.add("body", new String(answer.getBody(), StandardCharsets.UTF_8));
        }
        return told;
    }

    private Form reset(Form in) throws Exception {
        Object table = call(api(in), "invokeBrokerToResetOffset", in.text("broker"), in.text("topic"), in.text("group"),
            in.offset("time"), in.flag("force"), 10000L);
        return new Form().add("table", sorted(table));
    }

    private Form status(Form in) throws Exception {
        Object table = call(api(in), "invokeBrokerToGetConsumerStatus", in.text("broker"), in.text("topic"),
            in.text("group"), in.text("client", ""), 10000L);
        return new Form().add("table", sorted(table));
    }

    private Form running(Form in) throws Exception {
        Object info = call(api(in), "getConsumerRunningInfo", in.text("broker"), in.text("group"), in.text("client"),
            in.flag("stack"), 10000L);
        return new Form()
            .add("properties", call(info, "getProperties"))
            .add("queues", ((Map<?, ?>) call(info, "getMqTable")).size())
            .add("stack", call(info, "getJstack"));
    }

    /** The older generation does not tell the topic. */
    private Form direct(Form in) throws Exception {
        Object api = api(in);
        Object result;
        if (find(api, "consumeMessageDirectly", 6) != null) {
            result = call(api, "consumeMessageDirectly", in.text("broker"), in.text("group"), in.text("client"),
                in.text("topic"), in.text("msgId"), 10000L);
        } else {
            result = call(api, "consumeMessageDirectly", in.text("broker"), in.text("group"), in.text("client"),
                in.text("msgId"), 10000L);
        }
        return new Form().add("result", call(result, "getConsumeResult"));
    }

    private Form cloneOffsets(Form in) throws Exception {
        call(api(in), "cloneGroupOffset", in.text("broker"), in.text("group"), in.text("to"), in.text("topic"), true, 10000L);
        return new Form();
    }

    private static String sorted(Object table) {
        StringBuilder text = new StringBuilder();
        ((Map<?, ?>) table).entrySet().stream().map(Object::toString).sorted()
            .forEach(line -> text.append(text.length() == 0 ? "" : "\n").append(line));
        return text.toString();
    }

    /** What the tools call, by names that both generations have. */
    private Object api(Form in) throws Exception {
        Object impl = producers.of(in).getDefaultMQProducerImpl();
        String getter = find(impl, "getMqClientFactory", 0) != null ? "getMqClientFactory" : "getmQClientFactory";
        return call(call(impl, getter), "getMQClientAPIImpl");
    }

    private static Method find(Object on, String name, int parameters) {
        for (Method method : on.getClass().getMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == parameters) {
                return method;
            }
        }
        return null;
    }

    static Object call(Object on, String name, Object... arguments) throws Exception {
        for (Method method : on.getClass().getMethods()) {
            if (!method.getName().equals(name) || method.getParameterCount() != arguments.length) {
                continue;
            }
            try {
                return method.invoke(on, arguments);
            } catch (IllegalArgumentException e) {
                continue; // one of another signature
            } catch (InvocationTargetException e) {
                throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
            }
        }
        throw new NoSuchMethodException(name);
    }
}
