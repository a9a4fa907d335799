package com.github.liftoffmq.interop;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.Map;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** Messages that are due at a time, and taking them back. The methods for it are not in the older client. */
final class Timers {
    private final Producers producers;

    Timers(Producers producers) {
        this.producers = producers;
    }

    void register(Map<String, Program.Command> commands) {
        commands.put("timed", this::send);
        commands.put("recall", this::recall);
    }

    /** Sends count messages, each with what the setter named how makes of time + i * step, and tells what was answered. */
    private Form send(Form in) throws Exception {
        DefaultMQProducer producer = producers.of(in);
        Form answer = new Form();
        for (int i = 0; i < in.number("count", 1); i++) {
            String key = in.text("prefix") + "-" + i;
            Message message = new Message(in.text("topic"), "T", key, key.getBytes("UTF-8"));
            long time = in.offset("time") + (long) i * in.number("step", 0);
            call(message, in.text("how"), new Class<?>[] {long.class}, time);
            long before = System.currentTimeMillis();
            SendResult sent = producer.send(message);
            Object handle = call(sent, "getRecallHandle", new Class<?>[0]);
            answer.add("a", new Form().add("key", key).add("msgId", sent.getMsgId()).add("offsetMsgId", sent.getOffsetMsgId())
                .add("before", before).add("at", System.currentTimeMillis()).add("time", time).add("handle", handle));
        }
        return answer;
    }

    private Form recall(Form in) throws Exception {
        Object id = call(producers.of(in), "recallMessage", new Class<?>[] {String.class, String.class}, in.text("topic"), in.text("handle"));
        return new Form().add("msgId", id);
    }

    private static Object call(Object on, String name, Class<?>[] types, Object... arguments) throws Exception {
        Method method = on.getClass().getMethod(name, types);
        try {
            return method.invoke(on, arguments);
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }
}
