package troika.neverlose;

import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicLong;
import troika.Scenario;

/** AMQP load: confirms in a window; a consumer whose settlements are answered by channel.close-ok. */
public final class Amqp {
  private static final int WINDOW = 200;

  public static void main(String[] argv) {
    Scenario.run(argv, s -> {
      String queue = s.name("neverlose.amqp");
      AtomicLong next = new AtomicLong(1);
      Record.roles(
          s,
          Map.of("amqp.published", r -> publish(s, queue, next, r)),
          Map.of("amqp.consumed", r -> consume(s, queue, r)));
    });
  }

  static Connection connect(Scenario s) throws Exception {
    ConnectionFactory f = new ConnectionFactory();
    f.setHost(s.host());
    f.setPort(s.amqpPort());
    f.setAutomaticRecoveryEnabled(false);
    return f.newConnection();
  }

  static void publish(Scenario s, String queue, AtomicLong next, Record record) throws Exception {
    try (Connection c = connect(s)) {
      Channel ch = c.createChannel();
      ch.queueDeclare(queue, true, false, false, null);
      ch.confirmSelect();
      ConcurrentSkipListMap<Long, Long> open = new ConcurrentSkipListMap<>();
      Semaphore room = new Semaphore(WINDOW);
      ch.addConfirmListener(
          (tag, multiple) -> {
            NavigableMap<Long, Long> done =
                multiple ? open.headMap(tag, true) : open.subMap(tag, true, tag, true);
            StringBuilder lines = new StringBuilder();
            int count = 0;
            for (Long id : done.values()) {
              lines.append(lines.length() == 0 ? "" : "\n").append("c ").append(id);
              count++;
            }
            done.clear();
            if (count > 0) record.write(lines.toString());
            room.release(count);
          },
          (tag, multiple) -> System.out.println("nack " + tag));
      while (!Record.stopped()) {
        // A server that lets publishers rest confirms nothing meanwhile; one that was killed breaks the connection.
        if (!room.tryAcquire(60, TimeUnit.SECONDS)) throw new TimeoutException("no confirms");
        long id = next.getAndIncrement();
        open.put(ch.getNextPublishSeqNo(), id);
        ch.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, Record.text(s, id).getBytes());
        Record.pace(id, 30);
      }
      ch.waitForConfirms(5000);
    }
  }

  static void consume(Scenario s, String queue, Record record) throws Exception {
    try (Connection c = connect(s)) {
      long quietSince = System.currentTimeMillis();
      while (!Record.stopped()) {
        Channel ch = c.createChannel();
        ch.queueDeclare(queue, true, false, false, null);
        ch.basicQos(100);
        BlockingQueue<Delivery> seen = new LinkedBlockingQueue<>();
        record.write("s");
        String tag = ch.basicConsume(queue, false, (t, d) -> seen.add(d), t -> {});
        List<Long> held = new ArrayList<>();
        long last = 0;
        while (held.size() < 100) {
          Delivery d = seen.poll(300, TimeUnit.MILLISECONDS);
          if (d == null) break;
          long id = Long.parseLong(new String(d.getBody()).trim());
          record.write("d " + id + (d.getEnvelope().isRedeliver() ? " 1" : " 0"));
          held.add(id);
          last = d.getEnvelope().getDeliveryTag();
        }
        ch.basicCancel(tag);
        if (!held.isEmpty()) ch.basicAck(last, true);
        // channel.close-ok is the answer to the acks before it.
        ch.close();
        for (long id : held) record.write("a " + id);
        if (!held.isEmpty()) quietSince = System.currentTimeMillis();
        if (Record.drains(s) && System.currentTimeMillis() - quietSince > Record.QUIET_MS) return;
      }
    }
  }
}
