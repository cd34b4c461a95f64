package troika;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * One run of one scenario: its arguments, its deadline and its dialogue with the harness.
 *
 * <p>Arguments are {@code key=value} words. The harness gives {@code host}, {@code amqp}, {@code openwire},
 * {@code nameserver} and {@code run} (a suffix that keeps names apart where a broker outlives one scenario).
 * Exit codes: 0 passed, 1 failed, 3 the deadline passed. The process is halted at the end, because several of
 * the clients leave threads behind that would keep it alive.
 */
public final class Scenario {
  /** A scenario's body; whatever it throws is the reason of the failure. */
  public interface Body {
    void run(Scenario s) throws Exception;
  }

  /** Something that becomes true in time. */
  public interface Condition {
    boolean holds() throws Exception;
  }

  private final Map<String, String> args = new HashMap<>();
  private final BufferedReader stdin =
      new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

  private Scenario(String[] argv) {
    for (String word : argv) {
      int eq = word.indexOf('=');
      if (eq < 0) throw new IllegalArgumentException("argument \"" + word + "\" is not key=value");
      args.put(word.substring(0, eq), word.substring(eq + 1));
    }
  }

  /** Runs {@code body} and ends the process with its verdict. */
  public static void run(String[] argv, Body body) {
    Scenario s = new Scenario(argv);
    Thread main = Thread.currentThread();
    long deadlineSeconds = Long.parseLong(s.arg("deadline", "60"));
    Thread watchdog =
        new Thread(
            () -> {
              try {
                Thread.sleep(deadlineSeconds * 1000);
              } catch (InterruptedException e) {
                return;
              }
              System.out.println("FAILED deadline of " + deadlineSeconds + " s passed at:");
              for (StackTraceElement at : main.getStackTrace()) System.out.println("    " + at);
              System.out.flush();
              Runtime.getRuntime().halt(3);
            });
    watchdog.setDaemon(true);
    watchdog.start();
    int code = 0;
    try {
      body.run(s);
      System.out.println("passed");
    } catch (Throwable e) {
      System.out.println("FAILED " + e);
      e.printStackTrace(System.out);
      code = 1;
    }
    System.out.flush();
    Runtime.getRuntime().halt(code);
  }

  public String arg(String key) {
    String value = args.get(key);
    if (value == null) throw new IllegalArgumentException("argument " + key + "= is missing");
    return value;
  }

  public String arg(String key, String otherwise) {
    return args.getOrDefault(key, otherwise);
  }

  public String host() {
    return arg("host", "127.0.0.1");
  }

  public int amqpPort() {
    return Integer.parseInt(arg("amqp", "5672"));
  }

  public int openwirePort() {
    return Integer.parseInt(arg("openwire", "61616"));
  }

  /** The OpenWire address, with the transport options of the run (argument {@code options}). */
  public String openwireUrl() {
    String options = arg("options", "");
    return "tcp://" + host() + ":" + openwirePort() + (options.isEmpty() ? "" : "?" + options);
  }

  public String nameserver() {
    return host() + ":" + arg("nameserver", "9876");
  }

  /** A name of this run. */
  public String name(String base) {
    return base + arg("run", "");
  }

  /** Says what was just proven. */
  public void ok(String what) {
    System.out.println("ok " + what);
    System.out.flush();
  }

  public void check(boolean holds, String what) {
    if (!holds) throw new AssertionError(what);
  }

  public void equal(Object expected, Object actual, String what) {
    boolean same =
        expected instanceof byte[] && actual instanceof byte[]
            ? Arrays.equals((byte[]) expected, (byte[]) actual)
            : Objects.equals(expected, actual);
    if (!same) {
      throw new AssertionError(what + ": expected <" + expected + ">, found <" + actual + ">");
    }
  }

  /** Waits until {@code condition} holds, or fails naming {@code what}. */
  public void await(String what, int seconds, Condition condition) throws Exception {
    long end = System.nanoTime() + seconds * 1_000_000_000L;
    while (!condition.holds()) {
      if (System.nanoTime() > end) throw new AssertionError("in " + seconds + " s not seen: " + what);
      Thread.sleep(20);
    }
  }

  /** Asks the harness to SIGKILL the server and returns when it listens again on the same ports. */
  public void killServer() throws IOException {
    tellHarness("KILL ME", "RESTARTED");
  }

  /** Reads one line from the harness; null at its end. */
  public String line() throws IOException {
    return stdin.readLine();
  }

  private void tellHarness(String word, String answer) throws IOException {
    System.out.println(word);
    System.out.flush();
    String line = stdin.readLine();
    if (!answer.equals(line)) throw new IOException("the harness answered " + line + " to " + word);
  }
}
