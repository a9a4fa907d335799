package com.github.liftoffmq.interop;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Does with the official client what the tests ask for: one command a line comes on standard input, and each is answered
 * by one line on standard output with the same id. Commands run at the same time. The end of the input ends the
 * program, so that nothing stays behind when the tests die.
 */
public final class Program {
    interface Command {
        Form run(Form in) throws Exception;
    }

    private final Map<String, Command> commands = new HashMap<>();
    private final PrintStream out;

    private Program(PrintStream out) {
        this.out = out;
        Producers producers = new Producers();
        producers.register(commands);
        new Modes(producers).register(commands);
        new Traces().register(commands);
        new Timers(producers).register(commands);
        new PushConsumers().register(commands);
        new LiteConsumers().register(commands);
        new PullConsumers().register(commands);
        new Transactions().register(commands);
        new Filters().register(commands);
        new Retries().register(commands);
        new Pops(producers).register(commands);
        new Lites(producers).register(commands);
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        System.setOut(System.err); // what a library prints must not get between the answers
        new Program(out).serve();
        Runtime.getRuntime().halt(0);
    }

    private void serve() throws Exception {
        ExecutorService pool = Executors.newCachedThreadPool();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Form command = Form.parse(line);
            pool.execute(() -> answer(command));
        }
    }

    private void answer(Form in) {
        Form answer;
        try {
            Command command = commands.get(in.text("op"));
            if (command == null) {
                throw new IllegalArgumentException("no such command");
            }
            answer = command.run(in);
        } catch (Throwable e) {
            e.printStackTrace();
            answer = new Form().add("error", told(e));
        }
        answer.add("id", in.text("id"));
        synchronized (out) {
            out.print(answer + "\n");
            out.flush();
        }
    }

    /** The client wraps what the broker said in errors of its own. */
    private static String told(Throwable e) {
        StringBuilder text = new StringBuilder();
        for (; e != null; e = e.getCause()) {
            text.append(text.length() == 0 ? "" : ", because of ").append(e.toString().split("\n")[0]);
        }
        return text.toString();
    }
}
