package com.github.liftoffmq.interop;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The commands of producers of transactions. A message brings along what its transaction comes to: the property "local" is
 * how the local transaction ends, and the nth word of the property "plan" is what the nth check is answered with, the last word
 * also what all later ones are. So any producer of the group can answer.
 */
final class Transactions {
    private final Map<String, Producer> producers = new ConcurrentHashMap<>();

    void register(Map<String, Program.Command> commands) {
        commands.put("transactions", this::start);
        commands.put("transactions.close", this::close);
        commands.put("transactions.send", this::send);
        commands.put("transactions.checks", this::checks);
    }

    private static final class Producer implements TransactionListener {
        private final List<Form> checks = new ArrayList<>();
        private TransactionMQProducer client;

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return LocalTransactionState.valueOf(message.getUserProperty("local"));
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            int times = Integer.parseInt(message.getProperty(MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES));
            synchronized (checks) {
                checks.add(new Form().add("key", message.getKeys()).add("times", times).add("at", System.currentTimeMillis())
                    .add("topic", message.getTopic()).add("queue", message.getQueueId()).add("id", message.getTransactionId())
                    .add("body", new String(message.getBody())));
            }
            String[] plan = message.getUserProperty("plan").split(" ");
            return LocalTransactionState.valueOf(plan[Math.min(times, plan.length) - 1]);
        }
    }

    private Producer of(Form in) {
        Producer producer = producers.get(in.text("name"));
        if (producer == null) {
            throw new IllegalArgumentException("no such producer");
        }
        return producer;
    }

    private Form start(Form in) throws Exception {
        Producer producer = new Producer();
        producer.client = new TransactionMQProducer(in.text("group"));
        Settings.apply(in, producer.client);
        producer.client.setSendMsgTimeout(in.number("timeout", 10000));
        producer.client.setTransactionListener(producer);
        producer.client.start();
        producers.put(in.text("name"), producer);
        return new Form();
    }

    private Form close(Form in) {
        Producer producer = producers.remove(in.text("name"));
        if (producer != null) {
            producer.client.shutdown();
        }
        return new Form();
    }

    private Form send(Form in) throws Exception {
        TransactionSendResult sent = of(in).client.sendMessageInTransaction(Messages.toSend(in), null);
        return new Form()
            .add("status", sent.getSendStatus())
            .add("msgId", sent.getMsgId())
            .add("transactionId", sent.getTransactionId())
            .add("state", sent.getLocalTransactionState())
            .add("queue", sent.getMessageQueue().getQueueId());
    }

    /** Tells all checks that the producer has had. */
    private Form checks(Form in) {
        Producer producer = of(in);
        Form answer = new Form();
        synchronized (producer.checks) {
            for (Form check : producer.checks) {
                answer.add("c", check);
            }
        }
        return answer;
    }
}
