package troika.amqp;

import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;
import troika.Scenario;

/** Publisher confirms: in windows, per message, for unroutable ones; every number is confirmed once. */
public final class Confirms {
  public static void main(String[] argv) {
    Scenario.run(argv, Confirms::body);
  }

  static void body(Scenario s) throws Exception {
    Connection c = Basics.factory(s).newConnection();
    Channel ch = c.createChannel();
    String q = s.name("java-confirmed");
    ch.queueDeclare(q, true, false, false, null);
    ch.confirmSelect();
    ConcurrentSkipListSet<Long> open = new ConcurrentSkipListSet<>();
    List<String> wrong = new CopyOnWriteArrayList<>();
    ch.addConfirmListener(
        (tag, multiple) -> {
          if (multiple) open.headSet(tag, true).clear();
          else if (!open.remove(tag)) wrong.add("confirmed twice or never sent: " + tag);
        },
        (tag, multiple) -> wrong.add("nack of " + tag));
    for (int i = 0; i < 5000; i++) {
      open.add(ch.getNextPublishSeqNo());
      ch.basicPublish("", q, MessageProperties.PERSISTENT_BASIC, ("" + i).getBytes());
    }
    s.await("all 5000 confirmed", 30, open::isEmpty);
    s.equal(List.of(), wrong, "confirms");
    s.equal(5000L, ch.messageCount(q), "messages");
    ch.basicPublish("", s.name("java-nowhere"), null, new byte[0]);
    ch.waitForConfirmsOrDie(5000);
    s.ok("5000 persistent messages confirmed, an unroutable one too");
    BlockingQueue<Delivery> seen = new LinkedBlockingQueue<>();
    Channel rc = c.createChannel();
    rc.basicQos(500);
    rc.basicConsume(q, false, (t, d) -> seen.add(d), t -> {});
    for (int i = 0; i < 5000; i++) {
      Delivery d = seen.poll(5, TimeUnit.SECONDS);
      s.check(d != null, "only " + i + " delivered");
      s.equal("" + i, new String(d.getBody()), "order");
      if (i % 100 == 99) rc.basicAck(d.getEnvelope().getDeliveryTag(), true);
    }
    s.equal(0L, ch.messageCount(q), "none left");
    ch.queueDelete(q);
    c.close();
    s.ok("all delivered in order");
  }
}
