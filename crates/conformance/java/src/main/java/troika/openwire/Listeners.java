package troika.openwire;

import java.util.ArrayList;
import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import troika.Scenario;

/** Consumers of topics that do not keep up, and queues below virtual topics that are named by a wildcard. */
public final class Listeners {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          slow(s);
          virtualWildcard(s);
          emptyParts(s);
          brokerTime(s);
        });
  }

  /** With the configuration that ActiveMQ comes with, the newest thousand wait beyond the window. */
  static void slow(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String name = s.name("slow");
    MessageConsumer slow = session.createConsumer(session.createTopic(name + "?consumer.prefetchSize=10"));
    Session sending = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer producer = sending.createProducer(sending.createTopic(name));
    producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
    for (int i = 0; i < 5000; i++) producer.send(sending.createTextMessage("m" + i));
    Thread.sleep(2500);
    List<String> found = new ArrayList<>();
    for (String text = ""; text != null; ) {
      text = Jms.text(slow.receive(found.isEmpty() ? Jms.COMES_MS : Jms.ABSENT_MS));
      if (text != null) found.add(text);
    }
    s.equal(1010, found.size(), "what is left");
    s.equal(
        List.of("m0", "m9", "m4000", "m4999"),
        List.of(found.get(0), found.get(9), found.get(10), found.get(1009)),
        "which");
    c.close();
    s.ok("a slow consumer of a topic keeps its window and the newest");
  }

  static void virtualWildcard(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String topic = "VirtualTopic." + s.name("vw");
    MessageConsumer all = session.createConsumer(session.createQueue("Consumer.A." + topic + ".>"));
    Jms.send(session, session.createProducer(session.createTopic(topic)), "root");
    Jms.send(session, session.createProducer(session.createTopic(topic + ".below")), "below");
    s.equal(List.of("root", "below"), Jms.take(all, 2), "wildcard below a virtual topic");
    c.close();
    s.ok("a wildcard below a virtual topic");
  }

  static void emptyParts(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String name = s.name("parts");
    Jms.send(session, session.createProducer(session.createQueue(name + ",," + name + "2,")), "m");
    s.equal(List.of("m"), Jms.take(session.createConsumer(session.createQueue(name)), 1), "first part");
    s.equal(List.of("m"), Jms.take(session.createConsumer(session.createQueue(name + 2)), 1), "second part");
    c.close();
    s.ok("empty parts of a composite are nothing");
  }

  static void brokerTime(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("time"));
    MessageConsumer consumer = session.createConsumer(queue, "JMSActiveMQBrokerInTime > 0");
    Jms.send(session, session.createProducer(queue), "m");
    s.equal(List.of("m"), Jms.take(consumer, 1), "selected by the broker's own time");
    c.close();
    s.ok("the broker's time can be selected");
  }
}
