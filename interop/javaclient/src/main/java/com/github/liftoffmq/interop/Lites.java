package com.github.liftoffmq.interop;

import static com.github.liftoffmq.interop.Modes.call;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Lite topics, by the calls that the newer client has for proxies; it has no consumer of them. */
final class Lites {
    private static final String HEADERS = "org.apache.rocketmq.remoting.protocol.header.";
    private static final String LITE = "org.apache.rocketmq.common.lite.";
    private static final String BROKER = "broker-a";
    private static final int LITE_SUBSCRIPTION_CTL = 200071;
    private static final int NOTIFY_UNSUBSCRIBE_LITE = 200073;

    private final Producers producers;
    private final Map<String, ConcurrentLinkedQueue<String>> told = new ConcurrentHashMap<>();

    Lites(Producers producers) {
        this.producers = producers;
    }

    void register(Map<String, Program.Command> commands) {
        commands.put("lite.hear", this::hear);
        commands.put("lite.told", in -> new Form().add("t", String.join("\n", told.get(in.text("name")))));
        commands.put("lite.control", this::control);
        commands.put("lite.pop", this::pop);
        commands.put("lite.ack", this::ack);
        commands.put("lite.change", this::change);
    }

    /** Notes what the broker says of lost subscriptions. */
    private Form hear(Form in) throws Exception {
        ConcurrentLinkedQueue<String> heard = new ConcurrentLinkedQueue<>();
        told.put(in.text("name"), heard);
        DefaultMQProducer producer = producers.of(in);
        Object api = call(call(producer.getDefaultMQProducerImpl(), "getMqClientFactory"), "getMQClientAPIImpl");
        call(call(api, "getRemotingClient"), "registerProcessor", NOTIFY_UNSUBSCRIBE_LITE, processor(heard), null);
        return new Form();
    }

    private static Object processor(ConcurrentLinkedQueue<String> heard) throws Exception {
        Class<?> type = Class.forName("org.apache.rocketmq.remoting.netty.NettyRequestProcessor");
        return java.lang.reflect.Proxy.newProxyInstance(Lites.class.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
            if ("processRequest".equals(method.getName())) {
                Map<String, String> fields = ((RemotingCommand) arguments[1]).getExtFields();
                heard.add(fields.get("clientId") + " " + fields.get("consumerGroup") + " " + fields.get("liteTopic"));
            }
            return "rejectRequest".equals(method.getName()) ? (Object) false : null;
        });
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Form control(Form in) throws Exception {
        Object entry = made(LITE + "LiteSubscriptionDTO");
        call(entry, "setAction", Enum.valueOf((Class) Class.forName(LITE + "LiteSubscriptionAction"), in.text("action")));
        call(entry, "setClientId", in.text("client"));
        call(entry, "setGroup", in.text("group"));
        call(entry, "setTopic", in.text("topic"));
        call(entry, "setVersion", System.currentTimeMillis());
        if (in.has("lites")) {
            call(entry, "setLiteTopicSet", new HashSet<>(Arrays.asList(in.lines("lites"))));
        }
        if (in.has("option")) {
            Object option = made(LITE + "OffsetOption");
            call(option, "setType", Enum.valueOf((Class) Class.forName(LITE + "OffsetOption$Type"), in.text("option")));
            call(option, "setValue", in.offset("value"));
            call(entry, "setOffsetOption", option);
        }
        Object body = made("org.apache.rocketmq.remoting.protocol.body.LiteSubscriptionCtlRequestBody");
        call(body, "setSubscriptionSet", new HashSet<>(Arrays.asList(entry)));
        RemotingCommand request = RemotingCommand.createRequestCommand(LITE_SUBSCRIPTION_CTL, null);
        request.setBody((byte[]) call(body, "encode"));
        RemotingCommand answer = (RemotingCommand) call(call(api(in), "getRemotingClient"), "invokeSync", in.text("broker"), request, 10000L);
        return new Form().add("code", answer.getCode()).add("remark", answer.getRemark());
    }

    private Form pop(Form in) throws Exception {
        Object header = made(HEADERS + "PopLiteMessageRequestHeader");
        call(header, "setClientId", in.text("client"));
        call(header, "setConsumerGroup", in.text("group"));
        call(header, "setTopic", in.text("topic"));
        call(header, "setMaxMsgNum", in.number("max", 32));
        call(header, "setInvisibleTime", (long) in.number("invisible", 60000));
        call(header, "setPollTime", (long) in.number("poll", 3000));
        call(header, "setBornTime", System.currentTimeMillis());
        if (in.has("attempt")) {
            call(header, "setAttemptId", in.text("attempt"));
        }
        CompletableFuture<Object> result = new CompletableFuture<>();
        call(api(in), "popLiteMessageAsync", BROKER, in.text("broker"), header, 40000L,
            Pops.callback("org.apache.rocketmq.client.consumer.PopCallback", result));
        Object popped = result.get(50, TimeUnit.SECONDS);
        Form answer = new Form().add("status", call(popped, "getPopStatus"));
        List<?> list = (List<?>) call(popped, "getMsgFoundList");
        if (list != null) {
            for (Object one : list) {
                MessageExt message = (MessageExt) one;
                answer.add("m", Messages.received(message).add("p.receipt", message.getProperty("POP_CK"))
                    .add("p.lite", message.getProperty("__LITE_TOPIC")).add("p.times", message.getReconsumeTimes()));
            }
        }
        return answer;
    }

    private Form ack(Form in) throws Exception {
        CompletableFuture<Object> result = new CompletableFuture<>();
        call(api(in), "ackLiteMessageAsync", in.text("broker"), 10000L,
            Pops.callback("org.apache.rocketmq.client.consumer.AckCallback", result), receipt("AckMessageRequestHeader", in));
        return new Form().add("status", call(result.get(15, TimeUnit.SECONDS), "getStatus"));
    }

    private Form change(Form in) throws Exception {
        Object header = receipt("ChangeInvisibleTimeRequestHeader", in);
        call(header, "setInvisibleTime", (long) in.number("invisible", 1000));
        call(header, "setSuspend", in.flag("suspend"));
        CompletableFuture<Object> result = new CompletableFuture<>();
        call(api(in), "changeInvisibleTimeAsync", BROKER, in.text("broker"), header, 10000L,
            Pops.callback("org.apache.rocketmq.client.consumer.AckCallback", result));
        return new Form().add("status", call(result.get(15, TimeUnit.SECONDS), "getStatus"));
    }

    private static Object receipt(String name, Form in) throws Exception {
        Object header = made(HEADERS + name);
        String receipt = in.text("receipt");
        String[] parts = receipt.split(" ");
        call(header, "setConsumerGroup", in.text("group"));
        call(header, "setTopic", in.text("topic"));
        call(header, "setLiteTopic", in.text("lite"));
        call(header, "setQueueId", Integer.parseInt(parts[6]));
        call(header, "setOffset", Long.parseLong(parts[7]));
        call(header, "setExtraInfo", receipt);
        return header;
    }

    private static Object made(String type) throws Exception {
        return Class.forName(type).getConstructor().newInstance();
    }

    private Object api(Form in) throws Exception {
        return call(call(producers.of(in).getDefaultMQProducerImpl(), "getMqClientFactory"), "getMQClientAPIImpl");
    }
}
