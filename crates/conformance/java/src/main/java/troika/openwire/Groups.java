package troika.openwire;

import java.util.ArrayList;
import java.util.List;
import javax.jms.*;
import org.apache.activemq.ActiveMQConnection;
import troika.Scenario;

/** Message groups with two consumers, and exclusive consumers of different priorities. */
public final class Groups {
  public static void main(String[] argv) {
    Scenario.run(
        argv,
        s -> {
          sticky(s);
          closed(s);
          reassigned(s);
          ownerCloses(s);
          ownerDies(s);
          fullOwner(s);
          higherPriority(s);
        });
  }

  static void send(Session session, MessageProducer producer, String group, int sequence, String text)
      throws JMSException {
    TextMessage message = session.createTextMessage(text);
    if (group != null) message.setStringProperty("JMSXGroupID", group);
    if (sequence != 0) message.setIntProperty("JMSXGroupSeq", sequence);
    producer.send(message);
  }

  /** Everything that comes, each with a star if it is the first of its group for this consumer. */
  static List<String> all(MessageConsumer consumer) throws JMSException {
    List<String> texts = new ArrayList<>();
    Message m;
    while ((m = consumer.receive(Jms.ABSENT_MS)) != null) {
      String mark = "JMSXGroupFirstForConsumer";
      boolean first = m.propertyExists(mark) && m.getBooleanProperty(mark);
      texts.add(Jms.text(m) + (first ? "*" : ""));
    }
    return texts;
  }

  static void sticky(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("groups"));
    MessageConsumer one = session.createConsumer(queue);
    MessageConsumer two = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    MessageProducer producer = session.createProducer(queue);
    for (int i = 0; i < 4; i++) {
      send(session, producer, "A", 0, "a" + i);
      send(session, producer, "B", 0, "b" + i);
    }
    s.equal(List.of("a0*", "a1", "a2", "a3"), all(one), "the first consumer's group");
    s.equal(List.of("b0*", "b1", "b2", "b3"), all(two), "the second consumer's group");
    c.close();
    s.ok("one consumer per group");
  }

  static void closed(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("groupsclosed"));
    MessageConsumer one = session.createConsumer(queue);
    MessageConsumer two = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    MessageProducer producer = session.createProducer(queue);
    send(session, producer, "A", 0, "a0");
    send(session, producer, "A", 0, "a1");
    send(session, producer, "A", -1, "a2");
    send(session, producer, "A", 0, "a3");
    send(session, producer, "A", 0, "a4");
    s.equal(List.of("a0*", "a1", "a2"), all(one), "until the group is closed");
    s.equal(List.of("a3*", "a4"), all(two), "then another has it");
    c.close();
    s.ok("a negative sequence closes a group");
  }

  static void reassigned(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("groupsagain"));
    MessageConsumer one = session.createConsumer(queue);
    MessageConsumer two = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    MessageProducer producer = session.createProducer(queue);
    send(session, producer, "A", 1, "a0");
    send(session, producer, "A", 2, "a1");
    send(session, producer, "A", 1, "a2");
    send(session, producer, "A", 2, "a3");
    s.equal(List.of("a0*", "a1"), all(one), "until the group starts again");
    s.equal(List.of("a2*", "a3"), all(two), "with whoever is next");
    c.close();
    s.ok("sequence 1 assigns a group anew");
  }

  static void ownerCloses(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("groupsleft"));
    MessageConsumer one = session.createConsumer(queue);
    MessageConsumer two = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    Session sending = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer producer = sending.createProducer(queue);
    for (int i = 0; i < 5; i++) send(sending, producer, "A", 0, "a" + i);
    s.equal(List.of("a0", "a1"), Jms.take(one, 2), "seen and not acknowledged");
    session.close();
    s.equal(List.of("a0*", "a1", "a2", "a3", "a4"), all(two), "all of them, in order");
    c.close();
    s.ok("a group goes on in its order when its consumer closes");
  }

  static void ownerDies(Scenario s) throws Exception {
    ActiveMQConnection dying = Jms.open(s);
    Session session = dying.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("groupsdied"));
    MessageConsumer one = session.createConsumer(queue);
    ActiveMQConnection c = Jms.open(s);
    MessageConsumer two = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    Session sending = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer producer = sending.createProducer(queue);
    for (int i = 0; i < 5; i++) send(sending, producer, "A", 0, "a" + i);
    s.equal(List.of("a0", "a1"), Jms.take(one, 2), "seen and not acknowledged");
    s.equal(List.of(), all(two), "the other has none of it");
    dying.getTransport().stop();
    s.equal(List.of("a0", "a1", "a2", "a3", "a4"), Jms.take(two, 5), "all of them, in order");
    c.close();
    s.ok("a group goes on in its order when its consumer dies");
  }

  static void fullOwner(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    c.getPrefetchPolicy().setQueuePrefetch(1);
    Session session = c.createSession(false, Session.CLIENT_ACKNOWLEDGE);
    Queue queue = session.createQueue(s.name("groupsfull"));
    MessageConsumer one = session.createConsumer(queue);
    MessageConsumer two = c.createSession(false, Session.AUTO_ACKNOWLEDGE).createConsumer(queue);
    Session sending = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    MessageProducer producer = sending.createProducer(queue);
    for (int i = 0; i < 3; i++) send(sending, producer, "A", 0, "a" + i);
    for (int i = 0; i < 3; i++) send(sending, producer, "B", 0, "b" + i);
    Message first = one.receive(Jms.COMES_MS);
    s.equal("a0", Jms.text(first), "the first consumer is busy");
    s.equal(List.of("b0*", "b1", "b2"), all(two), "other groups go past it");
    first.acknowledge();
    Message second = one.receive(Jms.COMES_MS);
    s.equal("a1", Jms.text(second), "the first goes on");
    second.acknowledge();
    s.equal("a2", Jms.text(one.receive(Jms.COMES_MS)), "the first goes on to the end");
    c.close();
    s.ok("a busy consumer's group holds up nobody");
  }

  static void higherPriority(Scenario s) throws Exception {
    ActiveMQConnection c = Jms.open(s);
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String name = s.name("ranks");
    MessageConsumer low = exclusive(c, name, 0);
    MessageConsumer equal = exclusive(c, name, 0);
    MessageProducer producer = session.createProducer(session.createQueue(name));
    Jms.send(session, producer, "m0");
    s.equal(List.of("m0"), Jms.take(low, 1), "the first has all");
    MessageConsumer high = exclusive(c, name, 5);
    Jms.send(session, producer, "m1");
    s.equal(List.of("m1"), Jms.take(high, 1), "the higher takes over");
    MessageConsumer highest = exclusive(c, name, 127);
    Jms.send(session, producer, "m2");
    s.equal(List.of("m2"), Jms.take(highest, 1), "the highest takes over");
    MessageConsumer another = exclusive(c, name, 127);
    Jms.send(session, producer, "m3");
    s.equal(List.of("m3"), Jms.take(another, 1), "127 takes over from its equal");
    another.close();
    highest.close();
    Jms.send(session, producer, "m4");
    s.equal(List.of("m4"), Jms.take(high, 1), "the highest that is left");
    high.close();
    Jms.send(session, producer, "m5");
    s.equal(List.of("m5"), Jms.take(low, 1), "the first again");
    Jms.nothing(s, equal, "its equal");
    c.close();
    s.ok("exclusive consumers of higher priority take over");
  }

  static MessageConsumer exclusive(ActiveMQConnection c, String name, int priority) throws JMSException {
    Session session = c.createSession(false, Session.AUTO_ACKNOWLEDGE);
    String options = "?consumer.exclusive=true&consumer.priority=" + priority;
    return session.createConsumer(session.createQueue(name + options));
  }
}
