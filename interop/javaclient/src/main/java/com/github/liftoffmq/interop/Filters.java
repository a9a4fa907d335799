package com.github.liftoffmq.interop;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;

/** Apache's own evaluator of SQL filters. */
final class Filters {
    void register(Map<String, Program.Command> commands) {
        commands.put("evaluate", this::evaluate);
        commands.put("evaluate.time", this::time);
    }

    private static final class Properties implements EvaluationContext {
        private final Map<String, String> all;

        Properties(Map<String, String> all) {
            this.all = all;
        }

        @Override
        public Object get(String name) {
            return all.get(name);
        }

        @Override
        public Map<String, Object> keyValues() {
            return new HashMap<>(all);
        }
    }

    private static String decode(String word) {
        return new String(Base64.getUrlDecoder().decode(word), StandardCharsets.UTF_8);
    }

    private static Expression compile(String expression) throws Exception {
        return FilterFactory.INSTANCE.get("SQL92").compile(expression);
    }

    /**
     * Each case is a line: an expression, and after blanks the properties of messages, as records have them. Each answer is a
     * line with a letter for each message, T, F, N for null or E for an exception, or X when the expression is refused.
     */
    private Form evaluate(Form in) {
        Form answer = new Form();
        for (String line : in.lines("case")) {
            String[] words = line.split(" ");
            Expression expression;
            try {
                expression = compile(decode(words[0]));
            } catch (Throwable e) {
                answer.add("r", "X");
                continue;
            }
            StringBuilder results = new StringBuilder();
            for (int i = 1; i < words.length; i++) {
                results.append(evaluate(expression, decode(words[i])));
            }
            answer.add("r", results);
        }
        return answer;
    }

    private static char evaluate(Expression expression, String properties) {
        try {
            Object result = expression.evaluate(new Properties(MessageDecoder.string2messageProperties(properties)));
            return result == null ? 'N' : Boolean.TRUE.equals(result) ? 'T' : Boolean.FALSE.equals(result) ? 'F' : '?';
        } catch (Throwable e) {
            return 'E';
        }
    }

    /** How many nanoseconds an evaluation takes, with taking apart the properties, as the broker does it for each message. */
    private Form time(Form in) throws Exception {
        Expression expression = compile(in.text("expression"));
        byte[] properties = in.bytes("properties");
        int count = in.number("count", 1_000_000);
        long begin = 0;
        int wanted = 0;
        for (int i = -count; i < count; i++) { // the first half is to warm up
            if (i == 0) {
                begin = System.nanoTime();
            }
            String text = new String(properties, StandardCharsets.UTF_8);
            Object result = expression.evaluate(new Properties(MessageDecoder.string2messageProperties(text)));
            wanted += Boolean.TRUE.equals(result) ? 1 : 0;
        }
        return new Form().add("nanos", (System.nanoTime() - begin) / count).add("wanted", wanted);
    }
}
