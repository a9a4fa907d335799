package com.github.liftoffmq.interop;

import java.io.UnsupportedEncodingException;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One line between the tests and this program, in the encoding of web forms: both sides have it in their standard
 * library, and it carries any text and repeated keys. Bodies travel as base64.
 */
final class Form {
    private final Map<String, List<String>> values = new LinkedHashMap<>();

    static Form parse(String line) {
        Form form = new Form();
        for (String pair : line.split("&")) {
            int eq = pair.indexOf('=');
            if (eq > 0) {
                form.add(decode(pair.substring(0, eq)), decode(pair.substring(eq + 1)));
            }
        }
        return form;
    }

    Form add(String key, Object value) {
        if (value != null) {
            values.computeIfAbsent(key, k -> new ArrayList<>()).add(String.valueOf(value));
        }
        return this;
    }

    boolean has(String key) {
        return values.containsKey(key);
    }

    String[] lines(String key) {
        return text(key).split("\n");
    }

    String text(String key) {
        if (!has(key)) {
            throw new IllegalArgumentException("the command lacks " + key);
        }
        return values.get(key).get(0);
    }

    String text(String key, String otherwise) {
        return has(key) ? text(key) : otherwise;
    }

    int number(String key, int otherwise) {
        return has(key) ? Integer.parseInt(text(key)) : otherwise;
    }

    long offset(String key) {
        return Long.parseLong(text(key));
    }

    boolean flag(String key) {
        return "1".equals(text(key, "0"));
    }

    byte[] bytes(String key) {
        return Base64.getUrlDecoder().decode(text(key, ""));
    }

    /** The user properties of a message travel under keys that begin with "p.". */
    Map<String, String> properties() {
        Map<String, String> found = new LinkedHashMap<>();
        for (String key : values.keySet()) {
            if (key.startsWith("p.")) {
                found.put(key.substring(2), text(key));
            }
        }
        return found;
    }

    /** Several values of one key become the lines of one value, for there is a limit to how many a reader takes. */
    @Override
    public String toString() {
        StringBuilder line = new StringBuilder();
        for (Map.Entry<String, List<String>> entry : values.entrySet()) {
            line.append(line.length() == 0 ? "" : "&");
            line.append(encode(entry.getKey())).append('=').append(encode(String.join("\n", entry.getValue())));
        }
        return line.toString();
    }

    private static String encode(String text) {
        try {
            return URLEncoder.encode(text, "UTF-8");
        } catch (UnsupportedEncodingException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String decode(String text) {
        try {
            return URLDecoder.decode(text, "UTF-8");
        } catch (UnsupportedEncodingException e) {
            throw new IllegalStateException(e);
        }
    }
}
