package com.github.liftoffmq.interop;

import java.security.MessageDigest;
import java.util.Base64;
import java.util.Map;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageClientExt;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages as forms. */
final class Messages {
    /** A longer body is told by its digest alone. */
    private static final int WHOLE_BODY = 512;

    private Messages() {
    }

    static Message toSend(Form in) {
        Message message = new Message(in.text("topic"), in.text("tags", ""), in.text("keys", ""), in.bytes("body"));
        for (Map.Entry<String, String> property : in.properties().entrySet()) {
            message.putUserProperty(property.getKey(), property.getValue());
        }
        if (in.has("lite")) { // only the newer client has a call for it
            MessageAccessor.putProperty(message, "__LITE_TOPIC", in.text("lite"));
        }
        return message;
    }

    static Form received(MessageExt message) throws Exception {
        Form form = new Form()
            .add("topic", message.getTopic())
            .add("queue", message.getQueueId())
            .add("offset", message.getQueueOffset())
            .add("msgId", message.getMsgId())
            .add("keys", message.getKeys())
            .add("tags", message.getTags())
            .add("size", message.getBody().length)
            .add("sha256", hex(MessageDigest.getInstance("SHA-256").digest(message.getBody())))
            .add("born", message.getBornTimestamp())
            .add("stored", message.getStoreTimestamp())
            .add("times", message.getReconsumeTimes());
        if (message instanceof MessageClientExt) {
            form.add("offsetMsgId", ((MessageClientExt) message).getOffsetMsgId());
        }
        if (message.getBody().length <= WHOLE_BODY) {
            form.add("body", Base64.getUrlEncoder().encodeToString(message.getBody()));
        }
        for (Map.Entry<String, String> property : message.getProperties().entrySet()) {
            if (!MessageConst.STRING_HASH_SET.contains(property.getKey())) {
                form.add("p." + property.getKey(), property.getValue());
            }
        }
        return form;
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) {
            text.append(String.format("%02x", b));
        }
        return text.toString();
    }
}
