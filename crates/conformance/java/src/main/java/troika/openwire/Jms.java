package troika.openwire;

import java.util.ArrayList;
import java.util.List;
import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import troika.Scenario;

/** What the JMS scenarios share: opening, sending numbered texts, draining them. */
final class Jms {
  /** How long a message that must come may take. */
  static final long COMES_MS = 5000;

  /** How long to look for a message that must not come. */
  static final long ABSENT_MS = 400;

  private Jms() {}

  static ActiveMQConnection open(Scenario s) throws JMSException {
    return open(s, s.openwireUrl());
  }

  static ActiveMQConnection open(Scenario s, String url) throws JMSException {
    Connection c = new ActiveMQConnectionFactory(url).createConnection();
    c.start();
    return (ActiveMQConnection) c;
  }

  static void send(Session session, MessageProducer producer, String... texts) throws JMSException {
    for (String text : texts) producer.send(session.createTextMessage(text));
  }

  static String text(Message m) throws JMSException {
    return m == null ? null : ((TextMessage) m).getText();
  }

  static List<String> take(MessageConsumer consumer, int count) throws JMSException {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < count; i++) texts.add(text(consumer.receive(COMES_MS)));
    return texts;
  }

  static void nothing(Scenario s, MessageConsumer consumer, String what) throws JMSException {
    s.equal(null, text(consumer.receive(ABSENT_MS)), what);
  }
}
