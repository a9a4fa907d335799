package com.github.liftoffmq.admin;

import com.alibaba.fastjson2.JSON;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.net.SocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Any object as maps, lists and plain values: its fields, not what its getters let see, for a field without a getter is
 * as much of an answer as others. Sets are sorted, so that equal ones look equal.
 */
final class Tree {
    private static final int DEPTH_MAX = 20;

    private Tree() {
    }

    static Object of(Object value) {
        return of(value, 0);
    }

    private static Object of(Object value, int depth) {
        if (depth > DEPTH_MAX) {
            throw new IllegalArgumentException("an answer that contains itself");
        }
        if (value == null || value instanceof String || value instanceof Boolean) {
            return value;
        }
        if (value instanceof Number) {
            return value.getClass().getName().contains("atomic") ? (Object) ((Number) value).longValue() : value;
        }
        if (value instanceof Enum || value instanceof SocketAddress || value instanceof Class || value instanceof Character) {
            return value.toString();
        }
        if (value instanceof byte[]) {
            return new String((byte[]) value, StandardCharsets.UTF_8);
        }
        if (value.getClass().isArray()) {
            List<Object> all = new ArrayList<>();
            for (int i = 0; i < Array.getLength(value); i++) {
                all.add(of(Array.get(value, i), depth + 1));
            }
            return all;
        }
        if (value instanceof Map) {
            Map<String, Object> all = new TreeMap<>();
            ((Map<?, ?>) value).forEach((k, v) -> all.put(key(k), of(v, depth + 1)));
            return all;
        }
        if (value instanceof Collection) {
            List<Object> all = new ArrayList<>();
            ((Collection<?>) value).forEach(v -> all.add(of(v, depth + 1)));
            if (value instanceof Set) {
                all.sort((a, b) -> JSON.toJSONString(a).compareTo(JSON.toJSONString(b)));
            }
            return all;
        }
        if (value.getClass().getName().startsWith("java")) {
            return value.getClass().getName(); // how the JDK does it is no part of an answer
        }
        return fields(value, depth);
    }

    private static Object fields(Object value, int depth) {
        Map<String, Object> all = new TreeMap<>();
        for (Class<?> type = value.getClass(); type != Object.class; type = type.getSuperclass()) {
            for (Field field : type.getDeclaredFields()) {
                if (Modifier.isStatic(field.getModifiers()) || field.isSynthetic()) {
                    continue;
                }
                try {
                    field.setAccessible(true);
                    all.put(field.getName(), of(field.get(value), depth + 1));
                } catch (IllegalAccessException e) {
                    throw new IllegalStateException(e);
                }
            }
        }
        return all;
    }

    private static String key(Object key) {
        if (key instanceof MessageQueue) {
            MessageQueue queue = (MessageQueue) key;
            return queue.getTopic() + "/" + queue.getBrokerName() + "/" + queue.getQueueId();
        }
        return String.valueOf(key);
    }
}
