package com.github.liftoffmq.interop;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The commands of the old pull consumer, which asks for each piece itself. */
@SuppressWarnings("deprecation")
final class PullConsumers {
    private final Map<String, DefaultMQPullConsumer> consumers = new ConcurrentHashMap<>();

    void register(Map<String, Program.Command> commands) {
        commands.put("pull", this::start);
        commands.put("pull.get", this::get);
        commands.put("pull.commit", this::commit);
        commands.put("pull.committed", this::committed);
        commands.put("pull.close", this::close);
    }

    private Form start(Form in) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(in.text("group"));
        Settings.apply(in, consumer);
        consumer.start();
        consumers.put(in.text("name"), consumer);
        return new Form();
    }

    private MessageQueue queue(Form in) throws Exception {
        for (MessageQueue queue : consumers.get(in.text("name")).fetchSubscribeMessageQueues(in.text("topic"))) {
            if (queue.getQueueId() == in.number("queue", 0)) {
                return queue;
            }
        }
        throw new IllegalStateException("the topic has no queue " + in.text("queue"));
    }

    private Form get(Form in) throws Exception {
        DefaultMQPullConsumer consumer = consumers.get(in.text("name"));
        PullResult result = in.flag("block")
            ? consumer.pullBlockIfNotFound(queue(in), in.text("tags", "*"), in.offset("offset"), in.number("max", 32))
            : consumer.pull(queue(in), in.text("tags", "*"), in.offset("offset"), in.number("max", 32));
        Form answer = new Form()
            .add("status", result.getPullStatus())
            .add("next", result.getNextBeginOffset())
            .add("min", result.getMinOffset())
            .add("max", result.getMaxOffset());
        if (result.getMsgFoundList() != null) {
            for (MessageExt message : result.getMsgFoundList()) {
                answer.add("m", Messages.received(message));
            }
        }
        return answer;
    }

    private Form commit(Form in) throws Exception {
        DefaultMQPullConsumer consumer = consumers.get(in.text("name"));
        consumer.updateConsumeOffset(queue(in), in.offset("offset"));
        consumer.getOffsetStore().persist(queue(in));
        return new Form();
    }

    private Form committed(Form in) throws Exception {
        return new Form().add("offset", consumers.get(in.text("name")).fetchConsumeOffset(queue(in), true));
    }

    private Form close(Form in) {
        DefaultMQPullConsumer consumer = consumers.remove(in.text("name"));
        if (consumer != null) {
            consumer.shutdown();
        }
        return new Form();
    }
}
