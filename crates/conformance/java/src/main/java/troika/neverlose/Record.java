package troika.neverlose;

import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import troika.Scenario;

/** A file of what was promised or seen, one line each, written at once; and the roles that write such files. */
final class Record {
  /** One attempt of a role: connect, work until it fails or {@link #stopped}; it is begun again after a failure. */
  interface Role {
    void run(Record record) throws Exception;
  }

  private static final AtomicBoolean STOPPED = new AtomicBoolean();

  /** A drain ends when nothing came for so long. */
  static final long QUIET_MS = 3000;

  private final FileOutputStream out;

  private Record(FileOutputStream out) {
    this.out = out;
  }

  synchronized void write(String line) throws IOException {
    out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
  }

  static boolean stopped() {
    return STOPPED.get();
  }

  static boolean drains(Scenario s) {
    return s.arg("mode").equals("drain");
  }

  static boolean publishes(Scenario s) {
    return s.arg("mode").equals("load") || s.arg("mode").equals("publish");
  }

  static boolean consumes(Scenario s) {
    return s.arg("mode").equals("load") || s.arg("mode").equals("consume");
  }

  /** A message's text: its number, and as many blanks as the run wants it to be large. */
  static String text(Scenario s, long id) {
    int pad = Integer.parseInt(s.arg("pad", "0"));
    return pad == 0 ? String.valueOf(id) : id + " ".repeat(pad);
  }

  /** Starts the roles that the mode names, and waits for the end of the run. */
  static void roles(Scenario s, Map<String, Role> publishers, Map<String, Role> consumers) throws Exception {
    List<Thread> roles = new ArrayList<>();
    Map<String, Role> chosen = new TreeMap<>();
    if (publishes(s)) chosen.putAll(publishers);
    if (consumes(s) || drains(s)) chosen.putAll(consumers);
    for (var role : chosen.entrySet()) roles.add(start(s, role.getKey(), role.getValue()));
    await(s, roles.toArray(new Thread[0]));
  }

  static Thread start(Scenario s, String file, Role role) throws IOException {
    Record record = new Record(new FileOutputStream(s.arg("records") + "/" + file, true));
    Thread thread =
        new Thread(
            () -> {
              while (!stopped()) {
                try {
                  role.run(record);
                  return;
                } catch (Exception e) {
                  if (stopped()) return;
                  System.out.println(file + ": " + e);
                  try {
                    Thread.sleep(100);
                  } catch (InterruptedException i) {
                    return;
                  }
                }
              }
            });
    thread.start();
    return thread;
  }

  /** Waits for the harness's stop in load mode, for the roles' own end in drain mode. */
  static void await(Scenario s, Thread... roles) throws Exception {
    if (!drains(s)) {
      s.line();
      STOPPED.set(true);
    }
    for (Thread role : roles) role.join();
  }

  /** Keeps load bounded, so that the drain ends. */
  static void pace(long id, int every) throws InterruptedException {
    if (id % every == 0) Thread.sleep(10);
  }
}
