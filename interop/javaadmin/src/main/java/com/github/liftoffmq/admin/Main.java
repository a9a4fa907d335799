package com.github.liftoffmq.admin;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;

/**
 * Does with Apache's administration tools what the tests ask for, and writes what they answer as lines of JSON.
 *
 * <pre>
 * Main methods  NAMESRV BROKER    every method of the library, with something behind each to be seen
 * Main commands NAMESRV BROKER    the commands of mqadmin that come as lines on standard input
 * </pre>
 */
public final class Main {
    private Main() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        System.setOut(System.err); // what a library prints must not get between the answers
        System.setProperty("rocketmq.namesrv.addr", args[1]);
        int status = 1;
        try {
            run(args[0], new Scene(args[1], args[2]), out);
            status = 0;
        } catch (Throwable e) {
            e.printStackTrace();
        }
        out.flush();
        Runtime.getRuntime().halt(status); // other threads may still be at work
    }

    private static void run(String what, Scene scene, PrintStream out) throws Exception {
        switch (what) {
            case "methods":
                new Methods(scene, out).run();
                break;
            case "commands":
                new Commands(scene, out).serve();
                break;
            default:
                throw new IllegalArgumentException(what);
        }
    }
}
