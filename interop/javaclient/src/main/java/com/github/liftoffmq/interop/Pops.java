package com.github.liftoffmq.interop;

import static com.github.liftoffmq.interop.Modes.call;

import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.CommandCustomHeader;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/**
 * Consuming by POP: the push consumer that pops, and the calls of the client that it does not make by itself. Only the
 * newer generation has them, so they are called by name.
 */
final class Pops {
    private static final String HEADERS = "org.apache.rocketmq.remoting.protocol.header.";
    private static final String BROKER = "broker-a";
    private static final int PEEK_MESSAGE = 200052;
    private static final int NOTIFICATION = 200054;

    private final Producers producers;
    private final Map<String, DefaultMQPushConsumer> consumers = new ConcurrentHashMap<>();
    private final Map<String, Received> received = new ConcurrentHashMap<>();
    private final Map<String, MessageExt> popped = new ConcurrentHashMap<>();

    Pops(Producers producers) {
        this.producers = producers;
    }

    void register(Map<String, Program.Command> commands) {
        commands.put("pop.mode", this::setMode);
        commands.put("pop", this::pop);
        commands.put("pop.ack", this::ack);
        commands.put("pop.batch", this::ackBatch);
        commands.put("pop.change", this::change);
        commands.put("pop.notify", this::notifies);
        commands.put("pop.peek", this::peek);
        commands.put("pop.back", this::giveBack);
        commands.put("poppush", this::start);
        commands.put("poppush.seen", in -> received.get(in.text("name")).seen(in));
        commands.put("poppush.close", this::close);
    }

    private Form setMode(Form in) throws Exception {
        Object mode = value("org.apache.rocketmq.common.message.MessageRequestMode", in.text("mode"));
        call(api(in), "setMessageRequestMode", in.text("broker"), in.text("topic"), in.text("group"), mode,
            in.number("share", 0), 10000L);
        return new Form();
    }

    /** A consumer that leaves it to the broker whether it pulls or pops. It fails once on messages with the given keys. */
    private Form start(Form in) throws Exception {
        String name = in.text("name");
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(in.text("group"));
        Settings.apply(in, consumer);
        consumer.subscribe(in.text("topic"), in.text("tags", "*"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        call(consumer, "setClientRebalance", false);
        call(consumer, "setPopInvisibleTime", (long) in.number("invisible", 60000));
        Received messages = new Received();
        received.put(name, messages);
        Set<String> fails = new HashSet<>(Arrays.asList(in.text("fail", "").split(" ")));
        consumer.registerMessageListener((MessageListenerConcurrently) (list, context) -> {
            try {
                for (MessageExt message : list) {
                    messages.add(message, false);
                    if (message.getReconsumeTimes() == 0 && fails.contains(message.getKeys())) {
                        return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                    }
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        consumer.start();
        consumers.put(name, consumer);
        return new Form();
    }

    private Form close(Form in) {
        DefaultMQPushConsumer consumer = consumers.remove(in.text("name"));
        if (consumer != null) {
            consumer.shutdown();
        }
        return new Form();
    }

    /** Pops once, and tells each message with its receipt. */
    private Form pop(Form in) throws Exception {
        Object header = header("PopMessageRequestHeader", in);
        call(header, "setQueueId", in.number("queue", -1));
        call(header, "setMaxMsgNums", in.number("max", 32));
        call(header, "setInvisibleTime", (long) in.number("invisible", 60000));
        call(header, "setPollTime", (long) in.number("poll", 3000));
        call(header, "setBornTime", System.currentTimeMillis());
        call(header, "setInitMode", 0);
        call(header, "setExpType", in.text("type", "TAG"));
        call(header, "setExp", in.text("tags", "*"));
        call(header, "setOrder", in.flag("order"));
        if (in.has("attempt")) {
            call(header, "setAttemptId", in.text("attempt"));
        }
        CompletableFuture<Object> result = new CompletableFuture<>();
        call(api(in), "popMessageAsync", BROKER, in.text("broker"), header, 20000L,
            callback("org.apache.rocketmq.client.consumer.PopCallback", result));
        return told(result.get(30, TimeUnit.SECONDS));
    }

    private Form told(Object result) throws Exception {
        Form answer = new Form().add("status", call(result, "getPopStatus"));
        List<?> list = (List<?>) call(result, "getMsgFoundList");
        for (Object one : list == null ? new ArrayList<>() : list) {
            MessageExt message = (MessageExt) one;
            String receipt = message.getProperty("POP_CK");
            if (receipt != null) {
                popped.put(receipt, message);
            }
            answer.add("m", Messages.received(message).add("p.receipt", receipt).add("p.times", message.getReconsumeTimes())
                .add("p.first", message.getProperty("1ST_POP_TIME")).add("at", System.currentTimeMillis()));
        }
        return answer;
    }

    private Form ack(Form in) throws Exception {
        Form answer = new Form();
        for (String receipt : in.lines("receipt")) {
            Object header = receiptHeader("AckMessageRequestHeader", in, receipt);
            CompletableFuture<Object> result = new CompletableFuture<>();
            call(api(in), "ackMessageAsync", in.text("broker"), 10000L,
                callback("org.apache.rocketmq.client.consumer.AckCallback", result), header);
            answer.add("status", call(result.get(15, TimeUnit.SECONDS), "getStatus"));
        }
        return answer;
    }

    private Form ackBatch(Form in) throws Exception {
        CompletableFuture<Object> result = new CompletableFuture<>();
        call(api(in), "batchAckMessageAsync", in.text("broker"), 10000L,
            callback("org.apache.rocketmq.client.consumer.AckCallback", result), in.text("topic"), in.text("group"),
            Arrays.asList(in.lines("receipt")));
        return new Form().add("status", call(result.get(15, TimeUnit.SECONDS), "getStatus"));
    }

    private Form change(Form in) throws Exception {
        Object header = receiptHeader("ChangeInvisibleTimeRequestHeader", in, in.text("receipt"));
        call(header, "setInvisibleTime", (long) in.number("invisible", 1000));
        CompletableFuture<Object> result = new CompletableFuture<>();
        call(api(in), "changeInvisibleTimeAsync", BROKER, in.text("broker"), header, 10000L,
            callback("org.apache.rocketmq.client.consumer.AckCallback", result));
        Object told = result.get(15, TimeUnit.SECONDS);
        return new Form().add("status", call(told, "getStatus")).add("receipt", call(told, "getExtraInfo"));
    }

    private Form notifies(Form in) throws Exception {
        Object header = header("NotificationRequestHeader", in);
        call(header, "setQueueId", -1);
        call(header, "setPollTime", (long) in.number("poll", 3000));
        call(header, "setBornTime", System.currentTimeMillis());
        return new Form().add("has", ask(in, NOTIFICATION, header).getExtFields().get("hasMsg"));
    }

    private Form peek(Form in) throws Exception {
        Object header = header("PeekMessageRequestHeader", in);
        call(header, "setQueueId", -1);
        call(header, "setMaxMsgNums", in.number("max", 32));
        Form answer = new Form();
        for (MessageExt message : MessageDecoder.decodes(ByteBuffer.wrap(ask(in, PEEK_MESSAGE, header).getBody()))) {
            answer.add("m", Messages.received(message));
        }
        return answer;
    }

    private RemotingCommand ask(Form in, int code, Object header) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, (CommandCustomHeader) header);
        RemotingCommand answer = (RemotingCommand) call(call(api(in), "getRemotingClient"), "invokeSync", in.text("broker"), request, 20000L);
        if (answer.getCode() != 0) {
            throw new IllegalStateException(answer.getCode() + ": " + answer.getRemark());
        }
        return answer;
    }

    /** What a proxy does with a message that failed too often. */
    private Form giveBack(Form in) throws Exception {
        MessageExt message = popped.get(in.text("receipt"));
        call(api(in), "consumerSendMessageBack", in.text("broker"), BROKER, message, in.text("group"), -1, 10000L, 16);
        return new Form();
    }

    private static Object header(String name, Form in) throws Exception {
        Object header = Class.forName(HEADERS + name).getConstructor().newInstance();
        call(header, "setTopic", in.text("topic"));
        call(header, "setConsumerGroup", in.text("group"));
        return header;
    }

    private static Object receiptHeader(String name, Form in, String receipt) throws Exception {
        Object header = header(name, in);
        Class<?> util = Class.forName(HEADERS + "ExtraInfoUtil");
        String[] parts = receipt.split(" ");
        call(header, "setTopic", util.getMethod("getRealTopic", String[].class, String.class, String.class)
            .invoke(null, parts, in.text("topic"), in.text("group")));
        call(header, "setQueueId", Integer.parseInt(parts[6]));
        call(header, "setOffset", Long.parseLong(parts[7]));
        call(header, "setExtraInfo", receipt);
        return header;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Object value(String type, String name) throws Exception {
        return Enum.valueOf((Class) Class.forName(type), name);
    }

    static Object callback(String type, CompletableFuture<Object> result) throws Exception {
        return Proxy.newProxyInstance(Pops.class.getClassLoader(), new Class<?>[] {Class.forName(type)}, (self, method, arguments) -> {
            if ("onSuccess".equals(method.getName())) {
                result.complete(arguments[0]);
            } else if ("onException".equals(method.getName())) {
                result.completeExceptionally((Throwable) arguments[0]);
            }
            return null;
        });
    }

    private Object api(Form in) throws Exception {
        Object impl = producers.of(in).getDefaultMQProducerImpl();
        return call(call(impl, "getMqClientFactory"), "getMQClientAPIImpl");
    }
}
