package troika.matrix;

import troika.Scenario;

/** The messages of the matrix, and what of each must arrive whatever the two languages are. */
final class Texts {
  static final int COUNT = 5;
  static final String QUEUE = "matrix-orders";
  static final String TOPIC = "a.b";
  static final String ROCKETMQ_TOPIC = "MatrixTopic";
  static final String TAG = "TagA";
  static final String COLOUR = "grün";

  private Texts() {}

  static String body(int n) {
    return "text " + n + " äöü €";
  }

  static boolean is(Scenario s, String key, String value) {
    return s.arg(key).equals(value);
  }

  static void ready() {
    System.out.println("READY");
    System.out.flush();
  }

  static void arrived(Scenario s, int n, String text, Object colour, Object number) {
    s.equal(body(n), text, "body");
    s.equal(COLOUR, String.valueOf(colour), "property colour");
    s.equal(String.valueOf(n), String.valueOf(number), "property number");
  }
}
