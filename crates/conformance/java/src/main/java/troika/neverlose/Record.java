package troika.neverlose;

import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
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
