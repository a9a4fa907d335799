package com.github.liftoffmq.admin;

import com.alibaba.fastjson2.JSON;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs commands of mqadmin one after the other in this process, for a virtual machine for each would take too long. A
 * line of input is the arguments as a JSON array; a line of output is what the command printed. A command that does not end is
 * left behind after its time.
 */
final class Commands {
    /** Some commands keep what they used, closed, in themselves, so each use gets commands of its own, as in a process of its own. */
    private static final class Startup extends MQAdminStartup {
        static void forget() {
            SUB_COMMANDS.clear();
        }
    }

    private static final long TIME_MAX_MS = 60_000;
    private static final long INTERRUPTED_MAX_MS = 2_000;
    private static final long STEP_MS = 20;

    private final Scene scene;
    private final PrintStream out;

    Commands(Scene scene, PrintStream out) {
        this.scene = scene;
        this.out = out;
    }

    void serve() throws Exception {
        DefaultMQAdminExt look = scene.admin("looks");
        look.start();
        scene.makeTopics(look, look);
        scene.produce();
        scene.consume(look);
        Map<String, Object> made = new LinkedHashMap<>();
        scene.sent.forEach((key, result) -> {
            made.put(key, result.getMsgId());
            made.put("offset id of " + key, result.getOffsetMsgId());
        });
        write(made);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<String, Object> command = JSON.parseObject(line);
            List<String> args = JSON.parseArray(Objects.toString(command.get("args")), String.class);
            long limit = command.containsKey("limit") ? ((Number) command.get("limit")).longValue() : TIME_MAX_MS;
            write(run(args.toArray(new String[0]), limit));
        }
    }

    private void write(Object answer) {
        out.print(JSON.toJSONString(answer) + "\n");
        out.flush();
    }

    private Map<String, Object> run(String[] args, long limit) throws Exception {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        PrintStream into = new PrintStream(said, true, "UTF-8");
        PrintStream before = System.out;
        PrintStream beforeErr = System.err;
        System.setProperty("rocketmq.namesrv.addr", scene.namesrv);
        System.setOut(into);
        System.setErr(into);
        Startup.forget();
        Thread thread = new Thread(() -> MQAdminStartup.main0(args, null), "mqadmin");
        thread.setDaemon(true);
        try {
            thread.start();
            long end = System.currentTimeMillis() + limit;
            while (thread.isAlive() && System.currentTimeMillis() < end) {
                thread.join(STEP_MS);
                hurry(thread);
            }
        } finally {
            System.setOut(before);
            System.setErr(beforeErr);
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("out", said.toString("UTF-8"));
        answer.put("unfinished", thread.isAlive());
        if (thread.isAlive()) {
            thread.interrupt();
            thread.join(INTERRUPTED_MAX_MS);
        }
        return answer;
    }

    /** A client that shuts down waits up to three seconds for a thread that waits for nothing; an interrupt wakes that. */
    private static void hurry(Thread command) {
        boolean closes = false;
        for (StackTraceElement frame : command.getStackTrace()) {
            closes |= frame.getClassName().endsWith("NettyRemotingClient") && frame.getMethodName().equals("shutdown");
        }
        if (!closes) {
            return;
        }
        Thread[] all = new Thread[Thread.activeCount() * 2];
        for (int i = Thread.enumerate(all); i-- > 0; ) {
            if (all[i].getName().startsWith("NettyEventExecutor")) {
                all[i].interrupt();
            }
        }
    }
}
