package troika.matrix;

import java.nio.charset.StandardCharsets;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnectionFactory;
import troika.Scenario;

/** The JMS side of the matrix. It knows RocketMQ only through what the binding step joined. */
public final class Jms {
  public static void main(String[] argv) {
    Scenario.run(argv, s -> {
      Connection c = new ActiveMQConnectionFactory(s.openwireUrl()).createConnection();
      c.start();
      Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
      if (Texts.is(s, "role", "send")) send(s, session);
      else receive(s, session);
      c.close();
    });
  }

  static void send(Scenario s, Session session) throws Exception {
    MessageProducer producer =
        session.createProducer(
            Texts.is(s, "kind", "queue")
                ? session.createQueue(s.name(Texts.QUEUE))
                : session.createTopic(s.name(Texts.TOPIC)));
    for (int n = 0; n < Texts.COUNT; n++) {
      TextMessage m = session.createTextMessage(Texts.body(n));
      m.setStringProperty("colour", Texts.COLOUR);
      m.setIntProperty("number", n);
      m.setJMSCorrelationID("corr-" + n);
      producer.send(m);
    }
    s.ok("sent");
  }

  static void receive(Scenario s, Session session) throws Exception {
    MessageConsumer consumer =
        session.createConsumer(
            Texts.is(s, "kind", "topic")
                ? session.createTopic(s.name(Texts.TOPIC))
                : session.createQueue(s.name(Texts.QUEUE)));
    Texts.ready();
    for (int n = 0; n < Texts.COUNT; n++) {
      Message m = consumer.receive(30_000);
      s.check(m != null, "only " + n + " arrived");
      Texts.arrived(s, n, text(s, m), m.getObjectProperty("colour"), m.getObjectProperty("number"));
      if (!Texts.is(s, "sender", "rocketmq")) s.equal("corr-" + n, m.getJMSCorrelationID(), "correlation id");
    }
    s.ok("received");
  }

  /** AMQP text/plain and JMS text arrive as text; RocketMQ does not tell text from bytes. */
  static String text(Scenario s, Message m) throws Exception {
    if (m instanceof TextMessage) return ((TextMessage) m).getText();
    s.check(m instanceof BytesMessage && Texts.is(s, "sender", "rocketmq"), "body kind " + m.getClass());
    byte[] bytes = new byte[(int) ((BytesMessage) m).getBodyLength()];
    ((BytesMessage) m).readBytes(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
