package troika.matrix;

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.*;
import org.apache.rocketmq.client.producer.*;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.*;
import troika.Scenario;

/** The RocketMQ side of the matrix; its role {@code create} makes the topic, as a first send does. */
public final class RocketMq {
  public static void main(String[] argv) {
    Scenario.run(argv, s -> {
      if (Texts.is(s, "role", "create")) create(s);
      else if (Texts.is(s, "role", "send")) send(s);
      else receive(s);
    });
  }

  static DefaultMQProducer producer(Scenario s) throws Exception {
    DefaultMQProducer p = new DefaultMQProducer(s.name("PG_matrix"));
    p.setNamesrvAddr(s.nameserver());
    p.setSendMsgTimeout(10_000);
    p.start();
    return p;
  }

  static void create(Scenario s) throws Exception {
    producer(s).send(new Message(s.name(Texts.ROCKETMQ_TOPIC), "first", new byte[] {1}));
    Texts.ready();
  }

  static void send(Scenario s) throws Exception {
    DefaultMQProducer p = producer(s);
    for (int n = 0; n < Texts.COUNT; n++) {
      Message m =
          new Message(s.name(Texts.ROCKETMQ_TOPIC), Texts.TAG, Texts.body(n).getBytes(StandardCharsets.UTF_8));
      m.putUserProperty("colour", Texts.COLOUR);
      m.putUserProperty("number", String.valueOf(n));
      SendResult r = p.send(m, (queues, message, arg) -> queues.get(0), null);
      s.equal(SendStatus.SEND_OK, r.getSendStatus(), "status");
    }
    s.ok("sent");
  }

  static void receive(Scenario s) throws Exception {
    DefaultMQPushConsumer c = new DefaultMQPushConsumer(s.name("CG_matrix"));
    c.setNamesrvAddr(s.nameserver());
    c.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
    // AMQP routing keys are tags; a JMS topic's name is the key of its messages, and so their tag.
    c.subscribe(s.name(Texts.ROCKETMQ_TOPIC), Texts.is(s, "sender", "jms") ? "*" : Texts.TAG);
    Map<String, MessageExt> seen = new ConcurrentSkipListMap<>();
    c.registerMessageListener(
        (MessageListenerConcurrently)
            (messages, context) -> {
              for (MessageExt m : messages) {
                if (!"first".equals(m.getTags())) seen.put(new String(m.getBody(), StandardCharsets.UTF_8), m);
              }
              return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
    c.start();
    Texts.ready();
    s.await("all messages", 45, () -> seen.size() >= Texts.COUNT);
    int n = 0;
    for (Map.Entry<String, MessageExt> entry : seen.entrySet()) {
      MessageExt m = entry.getValue();
      Texts.arrived(s, n++, entry.getKey(), m.getProperty("colour"), m.getProperty("number"));
      s.equal(Texts.is(s, "sender", "jms") ? s.name(Texts.TOPIC) : Texts.TAG, m.getTags(), "tag");
    }
    s.equal(Texts.COUNT, n, "messages");
    s.ok("received");
  }
}
