package com.github.liftoffmq.admin;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONWriter;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.tools.admin.MQAdminExt;

/** Stands in front of the library and writes down each call with what came of it, one line of JSON each. */
final class Recorder {
    private final MQAdminExt behind;
    private final PrintStream out;
    /** What differs between any two clusters, such as addresses and ids of messages, and the name to write for it. */
    private final Map<String, String> names = new LinkedHashMap<>();
    private final Set<String> called = new TreeSet<>();

    Recorder(MQAdminExt behind, PrintStream out) {
        this.behind = behind;
        this.out = out;
    }

    /** The library, recorded. */
    MQAdminExt admin() {
        Class<?>[] faces = {MQAdminExt.class};
        return (MQAdminExt) Proxy.newProxyInstance(getClass().getClassLoader(), faces, (self, method, args) -> call(method, args));
    }

    void name(String actual, String name) {
        names.put(actual, name);
    }

    /** The methods that nobody called, each with the types of its parameters. */
    List<String> forgotten() {
        Set<String> all = new TreeSet<>();
        for (Method method : MQAdminExt.class.getMethods()) {
            all.add(signature(method));
        }
        all.removeAll(called);
        return new ArrayList<>(all);
    }

    private Object call(Method method, Object[] args) throws Throwable {
        called.add(signature(method));
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("method", method.getName());
        record.put("args", Tree.of(args));
        try {
            Object result = method.invoke(behind, args);
            record.put("result", Tree.of(result));
            return result;
        } catch (InvocationTargetException e) {
            record.put("thrown", thrown(e.getCause()));
            throw e.getCause();
        } finally {
            write(record);
        }
    }

    private static Map<String, Object> thrown(Throwable e) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("class", e.getClass().getName());
        if (e instanceof MQBrokerException) {
            all.put("code", ((MQBrokerException) e).getResponseCode());
            all.put("remark", ((MQBrokerException) e).getErrorMessage());
        } else if (e instanceof MQClientException) {
            all.put("code", ((MQClientException) e).getResponseCode());
            all.put("remark", ((MQClientException) e).getErrorMessage());
        } else {
            all.put("remark", e.getMessage());
        }
        return all;
    }

    void write(Map<String, Object> record) {
        String line = JSON.toJSONString(record, JSONWriter.Feature.WriteMapNullValue, JSONWriter.Feature.LargeObject);
        for (Map.Entry<String, String> name : names.entrySet()) {
            line = line.replace(name.getKey(), name.getValue());
        }
        out.print(line + "\n");
        out.flush();
    }

    private static String signature(Method method) {
        List<String> types = new ArrayList<>();
        for (Class<?> type : method.getParameterTypes()) {
            types.add(type.getSimpleName());
        }
        return method.getName() + "(" + String.join(", ", types) + ")";
    }
}
