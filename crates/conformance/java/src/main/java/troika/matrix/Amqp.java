package troika.matrix;

import com.rabbitmq.client.*;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.*;
import troika.Scenario;

/** The AMQP side of the matrix, with the Java client. */
public final class Amqp {
  public static void main(String[] argv) {
    Scenario.run(argv, s -> {
      ConnectionFactory f = new ConnectionFactory();
      f.setHost(s.host());
      f.setPort(s.amqpPort());
      Connection c = f.newConnection();
      if (Texts.is(s, "role", "send")) send(s, c);
      else receive(s, c);
      c.close();
    });
  }

  static void send(Scenario s, Connection c) throws Exception {
    Channel ch = c.createChannel();
    ch.confirmSelect();
    String exchange = "";
    String key = s.name(Texts.QUEUE);
    if (Texts.is(s, "kind", "topic")) {
      exchange = "amq.topic";
      key = s.name(Texts.TOPIC);
    } else if (Texts.is(s, "kind", "rocketmq-topic")) {
      exchange = s.name(Texts.ROCKETMQ_TOPIC);
      key = Texts.TAG;
    }
    for (int n = 0; n < Texts.COUNT; n++) {
      AMQP.BasicProperties p =
          new AMQP.BasicProperties.Builder()
              .contentType("text/plain")
              .deliveryMode(2)
              .correlationId("corr-" + n)
              .headers(Map.of("colour", Texts.COLOUR, "number", n))
              .build();
      ch.basicPublish(exchange, key, true, p, Texts.body(n).getBytes(StandardCharsets.UTF_8));
    }
    ch.waitForConfirmsOrDie(10_000);
    s.ok("sent");
  }

  static void receive(Scenario s, Connection c) throws Exception {
    Channel ch = c.createChannel();
    String queue = s.name(Texts.QUEUE);
    if (Texts.is(s, "kind", "queue")) {
      ch.queueDeclare(queue, true, false, false, null);
    } else {
      queue = ch.queueDeclare().getQueue();
      if (Texts.is(s, "kind", "topic")) ch.queueBind(queue, "amq.topic", s.name(Texts.TOPIC));
      else ch.queueBind(queue, s.name(Texts.ROCKETMQ_TOPIC), "#");
    }
    BlockingQueue<Delivery> seen = new LinkedBlockingQueue<>();
    ch.basicConsume(queue, false, (t, d) -> seen.add(d), t -> {});
    Texts.ready();
    for (int n = 0; n < Texts.COUNT; n++) {
      Delivery d = seen.poll(30, TimeUnit.SECONDS);
      s.check(d != null, "only " + n + " arrived");
      Map<String, Object> h = d.getProperties().getHeaders();
      s.check(h != null, "no headers");
      Texts.arrived(s, n, new String(d.getBody(), StandardCharsets.UTF_8), h.get("colour"), h.get("number"));
      if (Texts.is(s, "sender", "rocketmq")) s.equal(Texts.TAG, d.getEnvelope().getRoutingKey(), "tag as key");
      else s.equal("corr-" + n, d.getProperties().getCorrelationId(), "correlation id");
      ch.basicAck(d.getEnvelope().getDeliveryTag(), false);
    }
    s.ok("received");
  }
}
