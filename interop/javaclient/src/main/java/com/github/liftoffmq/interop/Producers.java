package com.github.liftoffmq.interop;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.MessageQueueSelector;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The commands of a producer: sending, and the questions that its API can ask. */
final class Producers {
    private static final MessageQueueSelector BY_ID = (queues, message, id) -> {
        for (MessageQueue queue : queues) {
            if (queue.getQueueId() == (Integer) id) {
                return queue;
            }
        }
        throw new IllegalStateException("the topic has no queue " + id);
    };

    private final Map<String, DefaultMQProducer> producers = new ConcurrentHashMap<>();
    private final Map<String, Load> loads = new ConcurrentHashMap<>();

    void register(Map<String, Program.Command> commands) {
        commands.put("producer", this::start);
        commands.put("producer.close", this::close);
        commands.put("send", this::send);
        commands.put("batch", this::batch);
        commands.put("fill", this::fill);
        commands.put("load", this::load);
        commands.put("load.stop", this::stopLoad);
        commands.put("createTopic", this::createTopic);
        commands.put("queues", this::queues);
        commands.put("offsets", this::offsets);
        commands.put("search", this::search);
        commands.put("view", this::view);
        commands.put("unique", this::unique);
        commands.put("query", this::query);
    }

    DefaultMQProducer of(Form in) {
        DefaultMQProducer producer = producers.get(in.text("name"));
        if (producer == null) {
            throw new IllegalArgumentException("no such producer");
        }
        return producer;
    }

    private Form start(Form in) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(in.text("group"));
        Settings.apply(in, producer);
        producer.setDefaultTopicQueueNums(in.number("queues", 4));
        producer.setSendMsgTimeout(in.number("timeout", 10000));
        producer.setRetryTimesWhenSendFailed(in.number("retries", 2));
        producer.setRetryTimesWhenSendAsyncFailed(in.number("retries", 2));
        producer.start();
        producers.put(in.text("name"), producer);
        return new Form();
    }

    private Form close(Form in) {
        DefaultMQProducer producer = producers.remove(in.text("name"));
        if (producer != null) {
            producer.shutdown();
        }
        return new Form();
    }

    private Form send(Form in) throws Exception {
        DefaultMQProducer producer = of(in);
        Message message = Messages.toSend(in);
        Integer queue = in.has("queue") ? in.number("queue", 0) : null;
        switch (in.text("mode", "sync")) {
            case "oneway":
                if (queue == null) {
                    producer.sendOneway(message);
                } else {
                    producer.sendOneway(message, BY_ID, queue);
                }
                return new Form();
            case "async":
                Answer answer = new Answer();
                if (queue == null) {
                    producer.send(message, answer);
                } else {
                    producer.send(message, BY_ID, queue, answer);
                }
                return sent(answer.get());
            default:
                return sent(queue == null ? producer.send(message) : producer.send(message, BY_ID, queue));
        }
    }

    /** Turns the callback of an asynchronous send into something to wait for. */
    private static final class Answer extends CompletableFuture<SendResult> implements SendCallback {
        @Override
        public void onSuccess(SendResult result) {
            complete(result);
        }

        @Override
        public void onException(Throwable e) {
            completeExceptionally(e);
        }
    }

    private static Form sent(SendResult result) {
        return new Form()
            .add("status", result.getSendStatus())
            .add("msgId", result.getMsgId())
            .add("offsetMsgId", result.getOffsetMsgId())
            .add("broker", result.getMessageQueue().getBrokerName())
            .add("queue", result.getMessageQueue().getQueueId())
            .add("offset", result.getQueueOffset());
    }

    private Form batch(Form in) throws Exception {
        List<Message> messages = new ArrayList<>();
        for (String each : in.lines("m")) {
            messages.add(Messages.toSend(Form.parse(each)));
        }
        return sent(of(in).send(messages));
    }

    /** Sends count numbered messages, in turn to each queue, one after the other, and tells where each one went. */
    private Form fill(Form in) throws Exception {
        DefaultMQProducer producer = of(in);
        Form answer = new Form();
        for (int i = in.number("first", 0); i < in.number("first", 0) + in.number("count", 1); i++) {
            answer.add("a", fillOne(producer, in, i));
        }
        return answer;
    }

    private static Form fillOne(DefaultMQProducer producer, Form in, int i) throws Exception {
        String body = in.text("prefix") + "-" + i;
        StringBuilder padded = new StringBuilder(body);
        while (padded.length() < in.number("size", 0)) {
            padded.append('.');
        }
        Message message = new Message(in.text("topic"), "T" + i % 3, body, padded.toString().getBytes("UTF-8"));
        SendResult result = producer.send(message, BY_ID, i % in.number("queues", 4));
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            throw new IllegalStateException("message " + i + " was answered with " + result.getSendStatus());
        }
        return sent(result).add("key", body);
    }

    /** Sends as fill does until told to stop, trying each message again until it is acknowledged. */
    private static final class Load extends Thread {
        private final DefaultMQProducer producer;
        private final Form in;
        private final Form answer = new Form();
        private volatile boolean stop;

        Load(DefaultMQProducer producer, Form in) {
            this.producer = producer;
            this.in = in;
        }

        @Override
        public void run() {
            int failures = 0;
            String last = null;
            for (int i = 0; !stop; i++) {
                for (boolean done = false; !done && !stop; ) {
                    try {
                        Form sent = fillOne(producer, in, i);
                        answer.add("a", sent);
                        done = true;
                        Thread.sleep(in.number("pace", 1));
                    } catch (Exception e) {
                        failures++;
                        last = e.toString();
                        pause();
                    }
                }
            }
            answer.add("failures", failures).add("last", last);
        }

        private static void pause() {
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private Form load(Form in) {
        Load load = new Load(of(in), in);
        loads.put(in.text("name"), load);
        load.start();
        return new Form();
    }

    private Form stopLoad(Form in) throws InterruptedException {
        Load load = loads.remove(in.text("name"));
        load.stop = true;
        load.join();
        return load.answer;
    }

    /** The two generations differ in this method's parameters alone. */
    private Form createTopic(Form in) throws Exception {
        for (Method method : DefaultMQProducer.class.getMethods()) {
            boolean plain = method.getParameterCount() == 3;
            boolean attributes = method.getParameterCount() == 4 && method.getParameterTypes()[3] == Map.class;
            if (method.getName().equals("createTopic") && (plain || attributes)) {
                Object[] arguments = {in.text("key"), in.text("topic"), in.number("queues", 4)};
                method.invoke(of(in), plain ? arguments : new Object[] {arguments[0], arguments[1], arguments[2], null});
                return new Form();
            }
        }
        throw new NoSuchMethodException("createTopic");
    }

    private Form queues(Form in) throws Exception {
        Form answer = new Form();
        for (MessageQueue queue : of(in).fetchPublishMessageQueues(in.text("topic"))) {
            answer.add("q", queue.getBrokerName() + ":" + queue.getQueueId());
        }
        return answer;
    }

    private MessageQueue queue(Form in) throws Exception {
        return BY_ID.select(of(in).fetchPublishMessageQueues(in.text("topic")), null, in.number("queue", 0));
    }

    private Form offsets(Form in) throws Exception {
        MessageQueue queue = queue(in);
        return new Form()
            .add("min", of(in).minOffset(queue))
            .add("max", of(in).maxOffset(queue))
            .add("earliest", of(in).earliestMsgStoreTime(queue));
    }

    private Form search(Form in) throws Exception {
        return new Form().add("offset", of(in).searchOffset(queue(in), in.offset("time")));
    }

    private Form view(Form in) throws Exception {
        return found(of(in).viewMessage(in.text("topic"), in.text("msgId")));
    }

    private Form unique(Form in) throws Exception {
        return found(of(in).getDefaultMQProducerImpl().queryMessageByUniqKey(in.text("topic"), in.text("msgId")));
    }

    private static Form found(MessageExt message) throws Exception {
        return message == null ? new Form() : new Form().add("m", Messages.received(message));
    }

    private Form query(Form in) throws Exception {
        QueryResult result = of(in).queryMessage(in.text("topic"), in.text("key"), in.number("max", 32), in.offset("begin"),
            in.offset("end"));
        Form answer = new Form();
        for (MessageExt message : result.getMessageList()) {
            answer.add("m", Messages.received(message));
        }
        return answer;
    }
}
