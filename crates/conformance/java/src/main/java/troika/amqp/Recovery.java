package troika.amqp;

import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;
import troika.Scenario;

/** Automatic and topology recovery over a SIGKILL and restart of the server; durable things survive by themselves. */
public final class Recovery {
  public static void main(String[] argv) {
    Scenario.run(argv, Recovery::body);
  }

  static void body(Scenario s) throws Exception {
    ConnectionFactory f = Basics.factory(s);
    f.setAutomaticRecoveryEnabled(true);
    f.setTopologyRecoveryEnabled(true);
    f.setNetworkRecoveryInterval(300);
    Connection c = f.newConnection("recovers");
    CountDownLatch recovered = new CountDownLatch(1);
    ((Recoverable) c)
        .addRecoveryListener(
            new RecoveryListener() {
              public void handleRecovery(Recoverable what) {
                recovered.countDown();
              }

              public void handleRecoveryStarted(Recoverable what) {}
            });
    Channel ch = c.createChannel();
    String durable = s.name("java-durable");
    String exchange = s.name("java-transient-x");
    ch.queueDeclare(durable, true, false, false, null);
    ch.exchangeDeclare(exchange, "topic", false);
    String named = ch.queueDeclare().getQueue();
    ch.queueBind(named, exchange, "a.#");
    BlockingQueue<String> seen = new LinkedBlockingQueue<>();
    ch.basicConsume(named, true, (t, d) -> seen.add(new String(d.getBody())), t -> {});
    ch.basicQos(1);
    BlockingQueue<Delivery> work = new LinkedBlockingQueue<>();
    ch.basicConsume(durable, false, (t, d) -> work.add(d), t -> {});

    Channel pc = c.createChannel();
    pc.confirmSelect();
    for (int i = 0; i < 5; i++) pc.basicPublish("", durable, MessageProperties.PERSISTENT_BASIC, ("w" + i).getBytes());
    pc.basicPublish("", durable, MessageProperties.PERSISTENT_BASIC, "last".getBytes());
    pc.waitForConfirmsOrDie(5000);
    Delivery first = work.poll(5, TimeUnit.SECONDS);
    s.equal("w0", new String(first.getBody()), "first");
    ch.basicAck(first.getEnvelope().getDeliveryTag(), false);
    Delivery second = work.poll(5, TimeUnit.SECONDS);
    s.equal("w1", new String(second.getBody()), "second, held");
    // The answer to any request on the channel tells that the ack before it was taken.
    ch.queueDeclarePassive(durable);

    s.killServer();

    s.check(recovered.await(30, TimeUnit.SECONDS), "the connection did not recover");
    s.ok("automatic recovery");
    List<String> rest = new ArrayList<>();
    while (!rest.contains("last")) {
      Delivery d = work.poll(10, TimeUnit.SECONDS);
      s.check(d != null, "after the kill only " + rest);
      String text = new String(d.getBody());
      if (text.equals("w1")) s.equal(true, d.getEnvelope().isRedeliver(), "w1 was handed out before");
      rest.add(text);
      ch.basicAck(d.getEnvelope().getDeliveryTag(), false);
    }
    // The ack of w0 had no answer of its own: RabbitMQ and we may both deliver it again, marked.
    rest.remove("w0");
    s.equal(List.of("w1", "w2", "w3", "w4", "last"), rest, "confirmed messages");
    s.ok("confirmed messages survive");
    pc.basicPublish(exchange, "a.b", null, "topology".getBytes());
    s.equal("topology", seen.poll(10, TimeUnit.SECONDS), "the exchange, queue and binding are declared again");
    pc.waitForConfirmsOrDie(5000);
    s.ok("topology recovery");
    c.close();
  }
}
